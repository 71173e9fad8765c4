"""Which fields a candidate has, and how many candidates there are."""

import random
import time

import pytest

from msa_core.config.rules import is_active
from msa_core.config.schema import Config
from msa_core.core import CORE
from spaces.designs.resolution import feasible_share, find_refusal, possible_space
from spaces.fields.declaration import ConfigError
from spaces.fields.paths import fields_of, replace, value_at
from spaces.search_space.candidates import ArmSpace, grid_points, grid_size, is_switch, pick_order
from spaces.search_space.domains import Choice, Domain, Int, LogUniform, Uniform, value_at_share
from spaces.syntax.constraints import parse_condition

KIND, MODE = "model.fusion.kind", "loss.alignment.text_audio.mode"
RATE, DECAY, WIDTH = "train.learning_rate", "train.weight_decay", "model.projection.width"
DROPOUT, RANK = "model.fusion.dropout", "model.fusion.lmf.rank"


def when(raw: object) -> dict[str, object]:
    return {"when": parse_condition(Config, raw)}


def test_no_number_decides_whether_a_field_means_anything() -> None:
    """`ArmSpace` relies on it."""
    draw = random.Random(0)
    known = fields_of(Config)
    switches = {
        path: info.choices or (True, False)
        for path, (info, kind) in known.items()
        if is_switch(Config, path) and (info.choices or kind is bool)
    }
    for _ in range(60):
        config = replace(Config(), {path: draw.choice(own) for path, own in switches.items()})
        numbers = {}
        for path, (info, kind) in known.items():
            if not is_switch(Config, path):
                low = info.minimum if info.minimum is not None else (info.above or 0) + 0.5
                high = info.maximum if info.maximum is not None else low + 10
                numbers[path] = kind(draw.choice([low, (low + high) / 2, high]))
        other = replace(config, numbers)
        assert [is_active(config, path) for path in known] == [
            is_active(other, path) for path in known
        ]


def test_fields_are_picked_after_those_that_their_whens_read() -> None:
    space: dict[str, Domain] = {
        KIND: Choice(("sum", "lmf"), **when(f"{WIDTH} > 8")),
        DECAY: Uniform(0, 1),
        MODE: Choice(("off", "shared")),
        WIDTH: Int(8, 16, **when(f"{RATE} > 0.001")),
        RATE: LogUniform(1e-4, 1e-2),
    }
    assert pick_order(space) == (MODE, DECAY, RATE, WIDTH, KIND)


def test_whens_that_wait_for_one_another_are_refused() -> None:
    space: dict[str, Domain] = {
        WIDTH: Int(8, 16, **when(f"{DECAY} > 0.1")),
        DECAY: Uniform(0, 1, **when(f"{WIDTH} > 8")),
    }
    with pytest.raises(ConfigError, match="wait for one another"):
        pick_order(space)


def test_a_field_that_a_later_choice_switches_on_is_searched() -> None:
    weight = "loss.alignment.text_audio.weight"
    space: dict[str, Domain] = {
        "loss.alignment.text_audio.measure": Choice(("cov", "cmd")),
        MODE: Choice(("off", "shared")),
        weight: LogUniform(1, 10),
    }
    arm = ArmSpace(CORE, Config(), space)
    on = {path: value_at_share(domain, 0.9) for path, domain in space.items()}
    assert set(arm.settle_candidate(on.__getitem__)) == set(space)
    assert arm.settle_candidate({**on, MODE: "off"}.__getitem__) == {MODE: "off"}


def test_a_space_has_what_is_searched_in_some_candidate() -> None:
    space: dict[str, Domain] = {
        KIND: Choice(("sum", "lmf")),
        RANK: Int(1, 8),
        DROPOUT: Uniform(0, 0.5, **when(f"{RANK} == 3")),
        DECAY: Uniform(0, 1, **when({KIND: "tfn"})),
        RATE: LogUniform(1e-4, 1e-2, **when("train.epochs == 40")),
        WIDTH: Int(8, 16, **when(f"{RATE} > 0.005")),
    }
    assert set(possible_space(CORE, Config(), space, {})) == {KIND, RANK, DROPOUT, RATE, WIDTH}
    # Fixed by an arm, the read field has one value.
    fixed = replace(Config(), {KIND: "sum", "train.epochs": 20})
    changes = {KIND: "sum", "train.epochs": 20}
    # Without a rank that is searched it is what the configuration says, as is the rate.
    assert value_at(fixed, RANK) == 4
    assert set(possible_space(CORE, fixed, space, changes)) == set()
    other = replace(fixed, {KIND: "tfn", RATE: 0.009})
    assert set(possible_space(CORE, other, space, {KIND: "tfn"})) == {DECAY, WIDTH}


def test_a_when_over_many_numbers_is_taken_to_hold_somewhere() -> None:
    space: dict[str, Domain] = {
        WIDTH: Int(1, 1000),
        DROPOUT: Uniform(0, 0.5, **when(f"{WIDTH} == 777")),
    }
    assert set(possible_space(CORE, Config(), space, {})) == {WIDTH, DROPOUT}


def test_what_no_candidate_can_be_is_not_refused() -> None:
    pooled = {"model.text.encoder": "mean_mlp", KIND: "concat"}
    config = replace(Config(), pooled)
    space: dict[str, Domain] = {
        KIND: Choice(("concat", "mult"), **when({"model.text.encoder": "lstm"}))
    }
    assert find_refusal(CORE, config, space, {}, "mosi") == ""
    space = {KIND: Choice(("concat", "mult"))}
    assert "mult" in find_refusal(CORE, config, space, {}, "mosi")
    assert (
        find_refusal(CORE, config, space, {}, "mosi", [parse_condition(Config, f"{KIND} != mult")])
        == ""
    )


def test_a_grid_is_counted_without_being_listed() -> None:
    space: dict[str, Domain] = {
        KIND: Choice(("sum", "lmf")),
        RANK: Int(1, 100),
        WIDTH: Int(1, 100),
        DECAY: Uniform(0, 0.5, 0.125),
    }
    assert grid_size(CORE, Config(), space) == (1 + 100) * 100 * 5
    odd = [parse_condition(Config, f"{RANK} <= 10")]
    # Without lmf the rank is what the configuration says: 4.
    assert grid_size(CORE, Config(), space, odd) == (1 + 10) * 100 * 5
    points = list(grid_points(CORE, Config(), space, odd, seed=1))
    assert len({tuple(sorted(point.items())) for point in points}) == len(points) == 5500
    assert points != list(grid_points(CORE, Config(), space, odd, seed=2))


def test_a_grid_without_end_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'train\.learning_rate'; give its"):
        grid_size(CORE, Config(), {RATE: LogUniform(1e-4, 1e-2)})
    with pytest.raises(ConfigError, match="more than 100,000 points"):
        grid_size(CORE, Config(), {WIDTH: Int(1, 1000), "model.fusion.width": Int(1, 1000)})


def test_the_share_that_satisfies_the_constraints() -> None:
    space: dict[str, Domain] = {WIDTH: Int(1, 100)}
    for raw, share in ((f"{WIDTH} <= 50", 0.5), (f"{WIDTH} < 1", 0.0), (f"{WIDTH} > 0", 1.0)):
        assert (
            abs(feasible_share(CORE, Config(), space, [parse_condition(Config, raw)]) - share) < 0.2
        )


def test_two_hundred_arms_take_no_time() -> None:
    space: dict[str, Domain] = {
        RATE: LogUniform(1e-4, 1e-2),
        WIDTH: Int(8, 64, 8),
        DROPOUT: Uniform(0, 0.5, **when(f"{WIDTH} > 8")),
        MODE: Choice(("off", "shared", "private")),
        KIND: Choice(("concat", "sum", "lmf")),
        RANK: Int(1, 8),
    }
    start = time.process_time()
    for width in range(1, 217):
        possible_space(CORE, replace(Config(), {"model.text.width": width}), space, {})
    assert time.process_time() - start < 3  # about .3
