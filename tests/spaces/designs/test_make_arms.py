"""Laws of the designs: names, counts, and that the order of a file means nothing."""

import itertools
import random
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msa_core.config.fields import PAIRS
from msa_core.config.kinds import kinds_of
from msa_core.config.schema import Config
from msa_core.core import CORE
from spaces.designs.arm_names import level_text, short_name
from spaces.designs.make_arms import (
    Component,
    Factor,
    Part,
    add_one_in,
    explicit,
    factorial,
    fractional,
    grid,
    leave_one_out,
    one_at_a_time,
    pairs,
    path,
    product,
)
from spaces.fields.declaration import ConfigError
from spaces.fields.paths import fields_of
from spaces.search_space.domains import Uniform
from tests.cases.studies.design_cases import (
    FIELDS,
    OF_COMPONENTS,
    components,
    named,
    on_canonical_path,
)

law = settings(max_examples=60, database=None, derandomize=True, deadline=None)
RANDOM = st.randoms(use_true_random=False)
MODES = ("off", "shared", "private")
MEASURES = kinds_of(Config, "alignment")


@st.composite
def factors(draw: st.DrawFn) -> list[Factor]:
    """One to three factors: fields with values, or names with alternatives of other fields."""
    numbers = {"train.epochs": 1, "train.batch_size": 2, "model.text.width": 3, "train.patience": 4}
    found = []
    for field in draw(st.lists(st.sampled_from(sorted(numbers)), min_size=1, unique=True)):
        values = draw(st.lists(st.integers(2, 90), min_size=1, max_size=3, unique=True))
        if draw(st.booleans()):
            levels = [Part(name=level_text(Config, field, v), changes={field: v}) for v in values]
            found.append(Factor(name=field, levels=tuple(levels)))
        else:
            levels = [Part(name=f"v{value}", changes={field: value}) for value in values]
            found.append(Factor(name=f"factor {numbers[field]}", levels=tuple(levels)))
    return found


@pytest.mark.parametrize("design", OF_COMPONENTS)
@law
@given(data=st.data(), random=RANDOM)
def test_a_design_of_components_is_a_set(
    design: str, data: st.DataObject, random: random.Random
) -> None:
    """Each name once, as many as there must be, and the same in whatever order it was written."""
    make, count = OF_COMPONENTS[design]
    parts = data.draw(components(least=3 if design == "fractional" else 1))
    arms = make(parts)
    assert len(arms) == len(named(arms)) == count(len(parts))
    assert len({str(sorted(arm.changes.items())) for arm in arms}) == len(arms)
    assert [arm.name for arm in arms if arm.reference] == [arms[0].name]
    assert named(make(random.sample(parts, len(parts)))) == named(arms)


# Designs in which the others don't notice one component more, and the side that it switches.
@pytest.mark.parametrize(
    ("make", "side"),
    [(leave_one_out, "off"), (add_one_in, "on"), (partial(factorial, Config), "on")],
)
@law
@given(data=st.data())
def test_one_more_component_leaves_the_arms_as_they_were(
    make: object, side: str, data: st.DataObject
) -> None:
    assert callable(make)
    parts = data.draw(components(least=2, side=side))
    before, after = named(make(parts[1:])), named(make(parts))
    assert before.items() <= after.items()
    assert len(before) < len(after)


@law
@given(parts=components(least=3, side="on"))
def test_path_and_fraction_are_of_the_factorial(parts: list[Component]) -> None:
    every = named(factorial(Config, parts, "base"))
    assert named(on_canonical_path(parts)).items() <= every.items()
    assert named(fractional(Config, parts, 3, "base")).items() <= every.items()
    assert named(add_one_in(parts)).keys() == {
        "base", *(f"with {part.name}" for part in parts)
    }  # fmt: skip


@law
@given(parts=components(least=2, side="on"), random=RANDOM)
def test_a_path_goes_on_where_it_ended(parts: list[Component], random: random.Random) -> None:
    order = [part.name for part in random.sample(parts, len(parts))]
    arms = path(Config, parts, order)
    before = path(Config, [part for part in parts if part.name != order[-1]], order[:-1])
    assert [named([arm]) for arm in arms[:-1]] == [named([arm]) for arm in before]
    for earlier, later in itertools.pairwise(arms):
        assert earlier.changes.items() < later.changes.items()
    assert [named([arm]) for arm in path(Config, parts[::-1], order)] == [
        named([arm]) for arm in arms
    ]


@law
@given(choices=factors(), random=RANDOM)
def test_a_grid_is_the_product_of_its_levels(choices: list[Factor], random: random.Random) -> None:
    arms = grid(Config, choices)
    count = 1
    for factor in choices:
        count *= len(factor.levels)
    assert len(arms) == len(named(arms)) == count
    mixed = [
        Factor(name=factor.name, levels=tuple(random.sample(factor.levels, len(factor.levels))))
        for factor in random.sample(choices, len(choices))
    ]
    assert named(grid(Config, mixed)) == named(arms)
    assert len(one_at_a_time(Config, choices)) == 1 + sum(len(factor.levels) for factor in choices)
    assert named(one_at_a_time(Config, mixed)) == named(one_at_a_time(Config, choices))


@law
@given(choices=factors(), field=st.sampled_from(sorted(FIELDS)))
def test_one_more_level_leaves_the_arms_as_they_were(choices: list[Factor], field: str) -> None:
    """Also one that touches a field which none of the others does."""
    first, *others = choices
    level = Part(name="new", changes={field: FIELDS[field]})
    wider = [Factor(name=first.name, levels=(*first.levels, level)), *others]
    assert (
        named(one_at_a_time(Config, choices)).items() <= named(one_at_a_time(Config, wider)).items()
    )
    if all(field not in level.changes for factor in others for level in factor.levels):
        assert named(grid(Config, choices)).items() <= named(grid(Config, wider)).items()


@law
@given(
    modes=st.lists(st.sampled_from(MODES), min_size=1, unique=True),
    measures=st.lists(st.sampled_from(MEASURES[:3]), max_size=2, unique=True),
    chosen=st.lists(st.sampled_from(sorted(PAIRS)), min_size=1, unique=True),
)
def test_pairs_are_every_pair_by_mode_by_measure(
    modes: list[str], measures: list[str], chosen: list[str]
) -> None:
    arms = pairs(CORE.groups, modes, measures, chosen)
    a_pair = sum(1 if mode == "off" else max(1, len(measures)) for mode in modes)
    assert len(arms) == len(named(arms)) == a_pair ** len(chosen)
    assert [arm.name for arm in arms if arm.reference] == ["no pair"] * ("off" in modes)
    assert named(pairs(CORE.groups, modes[::-1], measures[::-1], chosen[::-1])) == named(arms)
    for more in set(MODES) - set(modes):
        assert (
            named(arms).items()
            <= named(pairs(CORE.groups, [*modes, more], measures, chosen)).items()
        )
    for more in set(MEASURES[:3]) - set(measures) if measures else ():
        assert (
            named(arms).items()
            <= named(pairs(CORE.groups, modes, [*measures, more], chosen)).items()
        )
    for more in set(PAIRS) - set(chosen) if "off" in modes else ():
        assert (
            named(arms).keys() <= named(pairs(CORE.groups, modes, measures, [*chosen, more])).keys()
        )


def test_the_pairs_of_three_modalities_are_27() -> None:
    arms = pairs(CORE.groups, MODES, [], list(PAIRS))
    assert len(arms) == 27
    assert arms[0].name == "no pair"
    assert {"shared TA", "private TV + AV", "shared TA, private AV"} < named(arms).keys()
    assert "shared TA (cov) + AV (mmd)" in named(
        pairs(CORE.groups, MODES, ["cov", "mmd"], list(PAIRS))
    )


@law
@given(parts=components(least=2, side="on"), random=RANDOM)
def test_a_product_is_every_combination(parts: list[Component], random: random.Random) -> None:
    designs = [add_one_in(parts[:1]), factorial(Config, parts[1:])]
    arms = product(Config, designs)
    assert len(arms) == len(named(arms)) == len(designs[0]) * len(designs[1])
    assert [arm.reference for arm in arms].count(True) == 1
    mixed = [random.sample(design, len(design)) for design in random.sample(designs, 2)]
    assert named(product(Config, mixed)) == named(arms)


@law
@given(parts=components(least=3, side="on"))
def test_a_product_of_more_has_the_arms_of_the_smaller_one(parts: list[Component]) -> None:
    """While the designs' first fields stay the same, which decide whose name comes first."""
    *some, one, another = sorted(parts, key=lambda part: places(part)[0])
    smaller = product(
        Config, [factorial(Config, [*some, one]), explicit([Part(name="x", changes={})])]
    )
    larger = product(
        Config, [factorial(Config, [*some, one, another]), explicit([Part(name="x", changes={})])]
    )
    assert named(smaller).items() <= named(larger).items()


def places(part: Component) -> list[int]:
    declared = list(fields_of(Config))
    return sorted(declared.index(field) for field in (*part.on.changes, *part.off.changes))


@pytest.mark.parametrize("first", [{"train.epochs": 3}, {"train.epochs": 4}])
def test_parts_that_contradict_one_another_are_refused(first: dict[str, int]) -> None:
    parts = [Part(name="a", changes=first), Part(name="b", changes={"train.epochs": 4})]
    designs = [explicit(parts[:1]), explicit(parts[1:])]
    if first == parts[1].changes:
        assert product(Config, designs)[0].changes == first
        return
    message = "'a / b': 'train.epochs' is set to 3 and to 4, by parts of one arm; let only one"
    with pytest.raises(ConfigError, match=message):
        product(Config, designs)


def test_parts_that_search_one_field_differently_are_refused() -> None:
    """Taking one of the two would let the order of the file decide."""
    field = "model.fusion.dropout"
    narrow = Part(name="a", changes={}, search={field: Uniform(0, 0.1)})
    wide = Part(name="b", changes={}, search={field: Uniform(0, 0.5)})
    fixed = Part(name="c", changes={field: 0.2})
    with pytest.raises(ConfigError, match=r"searched as uniform \[0, 0.1\] and as uniform"):
        product(Config, [explicit([narrow]), explicit([wide])])
    with pytest.raises(ConfigError, match=r"is set to 0.2 and searched, by parts of one arm"):
        product(Config, [explicit([narrow]), explicit([fixed])])
    assert product(Config, [explicit([narrow]), explicit([narrow])])[0].search == narrow.search


@pytest.mark.parametrize(
    "make",
    [
        lambda parts: factorial(Config, parts),
        lambda parts: grid(Config, [Factor(name=p.name, levels=(p.on, p.off)) for p in parts]),
        lambda parts: product(Config, [add_one_in([part]) for part in parts]),
        lambda parts: pairs(CORE.groups, MODES, MEASURES, list(PAIRS)),
        lambda parts: fractional(Config, parts, 12),
    ],
)
def test_a_slip_of_the_pen_does_not_make_thousands_of_arms(make: object) -> None:
    parts = [
        Component(
            name=f"part {field}",
            on=Part(name="on", changes={field: FIELDS[field]}),
            off=Part(name="off", changes={}),
        )
        for field in list(FIELDS)[:12]
    ]
    assert callable(make)
    with pytest.raises(ConfigError, match="more than 1,024 arms; leave some factors or levels out"):
        make(parts)


def test_a_short_name_says_no_more_than_it_must() -> None:
    assert short_name(Config, "train.batch_size") == "batch_size"
    assert short_name(Config, "model.text.width") == "text.width"
    assert level_text(Config, "model.fusion.kind", "tfn") == "fusion tfn"
    assert level_text(Config, "model.text.use", False) == "text.use false"
