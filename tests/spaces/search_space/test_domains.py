"""What a searched field may be."""

import math
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msa_core.config.schema import Config
from spaces.fields.declaration import ConfigError
from spaces.search_space.domains import (
    MOST_VALUES,
    Choice,
    Domain,
    Int,
    LogUniform,
    Uniform,
    describe_domain,
    domain_contains,
    parse_domain,
    size_of,
    tidy_value,
    value_at_share,
    values_of,
    write_domain,
)
from spaces.syntax.constraints import parse_condition
from spaces.syntax.document import is_domain, parse_yaml

WHENS = st.sampled_from(
    [None, {"model.fusion.kind": ["lmf", "tfn"]}, "model.text.width >= 2 * model.audio.width"]
).map(lambda raw: parse_condition(Config, raw) if raw else None)
STEPS = st.tuples(st.integers(0, 20), st.integers(1, 30), st.sampled_from([0.01, 0.03, 0.002]))
DOMAINS = st.one_of(
    st.builds(
        lambda low, more, log, when: (
            "model.fusion.width",
            Int(low, low + more, 1, log, when=when),
        ),
        st.integers(1, 500),
        st.integers(1, 500),
        st.booleans(),
        WHENS,
    ),
    st.builds(
        lambda low, steps, step, when: (
            "model.fusion.width",
            Int(low, low + steps * step, step, when=when),
        ),
        st.integers(1, 100),
        st.integers(1, 20),
        st.integers(2, 40),
        WHENS,
    ),
    st.builds(
        lambda low, high, when: ("model.fusion.dropout", Uniform(low, high, when=when)),
        st.floats(0, 0.4),
        st.floats(0.5, 0.95),
        WHENS,
    ),
    STEPS.map(
        lambda given: (
            "model.fusion.dropout",
            Uniform(
                round(given[0] * given[2], 6),
                round((given[0] + given[1]) * given[2], 6),
                given[2],
            ),
        )
    ).filter(lambda named: named[1].high <= 0.95),
    st.builds(
        lambda low, high, when: ("train.learning_rate", LogUniform(low, high, when=when)),
        st.floats(1e-6, 0.01),
        st.floats(0.1, 1),
        WHENS,
    ),
    st.builds(
        lambda options, when: ("train.batch_size", Choice(tuple(options), when=when)),
        st.lists(st.integers(2, 512), min_size=2, unique=True),
        WHENS,
    ),
)


@given(DOMAINS)
def test_a_domain_written_in_a_study_file_is_read_back(named: tuple[str, Domain]) -> None:
    path, domain = named
    kind = {Uniform: "uniform", LogUniform: "log_uniform", Int: "int", Choice: "choice"}
    node = parse_yaml(repr(write_domain(domain)), "text")
    assert is_domain(node)
    assert parse_domain(Config, path, node.plain_value()) == domain
    assert describe_domain(domain).startswith(kind[type(domain)])
    assert hash(domain) == hash(parse_domain(Config, path, write_domain(domain)))


@given(DOMAINS, st.floats(0, 1, exclude_max=True))
def test_a_share_of_a_domain_is_in_it(named: tuple[str, Domain], share: float) -> None:
    _, domain = named
    value = value_at_share(domain, share)
    assert domain_contains(domain, value)
    assert tidy_value(domain, value) == value
    if not isinstance(domain, Choice):
        assert domain_contains(domain, value_at_share(domain, 0.0))
        assert domain.low <= value_at_share(domain, share / 2) <= value
        assert value_at_share(domain, 0.0) == domain.low
        assert not domain_contains(domain, domain.high + 1)
        assert not domain_contains(domain, "sum")


@given(DOMAINS)
def test_the_values_of_a_finite_domain_are_all_in_it(named: tuple[str, Domain]) -> None:
    _, domain = named
    values = values_of(domain)
    if values is None:
        assert isinstance(domain, LogUniform) or (isinstance(domain, Uniform) and not domain.step)
        assert size_of(domain) is None
        return
    assert len(values) == len(set(values)) == size_of(domain)
    assert all(domain_contains(domain, value) for value in values)
    if not isinstance(domain, Choice):
        assert (values[0], values[-1]) == (domain.low, domain.high)
    assert {value_at_share(domain, (place + 0.5) / 10_000) for place in range(10_000)} == set(
        values
    )


def test_steps_are_what_a_person_would_write() -> None:
    assert values_of(Uniform(0, 0.4, 0.1)) == (0.0, 0.1, 0.2, 0.3, 0.4)
    assert tidy_value(Uniform(0, 1, 0.1), 3 * 0.1) == 0.3
    assert domain_contains(Uniform(0, 1, 0.1), 0.3)
    assert not domain_contains(Uniform(0, 1, 0.1), 0.35)
    assert not domain_contains(Int(8, 64, 8), 12)
    assert values_of(Int(8, 32, 8)) == (8, 16, 24, 32)
    assert values_of(Int(1, MOST_VALUES + 1)) is None


def test_the_middle_of_a_logarithmic_domain_is_its_geometric_mean() -> None:
    middle = value_at_share(LogUniform(1e-4, 1e-2), 0.5)
    assert isinstance(middle, float)
    assert math.isclose(middle, 1e-3)
    assert value_at_share(Int(1, 512, log=True), 0.5) == 16


@pytest.mark.parametrize(
    ("domain", "text"),
    [
        (Uniform(0, 0.5), "uniform [0, 0.5]"),
        (LogUniform(1e-4, 1e-2), "log_uniform [0.0001, 0.01]"),
        (Int(8, 64), "int [8, 64]"),
        (Choice(("a", True)), "choice ['a', True]"),
        (Uniform(0, 0.5, 0.1), "uniform [0, 0.5] step 0.1"),
        (Int(8, 64, 8), "int [8, 64] step 8"),
        (Int(1, 512, log=True), "int [1, 512] log"),
        (
            Int(1, 4, when=parse_condition(Config, {"model.fusion.kind": "lmf"})),
            "int [1, 4] when model.fusion.kind == lmf",
        ),
    ],
)
def test_a_domain_is_described(domain: Domain, text: str) -> None:
    assert describe_domain(domain) == text


@pytest.mark.parametrize(
    ("path", "mapping", "message"),
    [
        ("train.learning_rate", {"log_uniform": [0.1]}, r"needs \[low, high\]"),
        ("train.learning_rate", {"log_uniform": "0.1"}, "needs a list"),
        ("train.weight_decay", {"log_uniform": [0.0, 0.1]}, "needs low > 0"),
        ("train.epochs", {"int": [1.5, 3]}, "must be a whole number"),
        ("train.epochs", {"int": [3, 1]}, "`low < high` must hold"),
        ("model.fusion.kind", {"choice": ["sum"]}, "two or more different values"),
        ("model.fusion.kind", {"choice": ["sum", "sum"]}, "two or more different values"),
        ("model.fusion.kind", {"choice": ["sum", "tnf"]}, "did you mean 'tfn'"),
        ("model.text.use", {"int": [0, 1]}, "must be true or false"),
        ("train.weight_decay", {"int": [0, 1]}, "cannot be searched as int"),
        ("nothing", {"int": [0, 1]}, "is not a field"),
        ("train.epochs", {"itn": [1, 3]}, "'itn' is not a domain; .* did you mean 'int'"),
        ("train.epochs", {"step": [1, 3]}, "is not a domain"),
        ("train.epochs", {"int": [1, 3], "choice": [1, 2]}, "needs one domain"),
        ("train.epochs", {"int": [1, 3], "setp": 1}, "did you mean 'step'"),
        ("train.weight_decay", {"uniform": [0, 1], "log": True}, "use log_uniform"),
        ("train.weight_decay", {"log_uniform": [0.1, 1], "step": 0.1}, "has no 'step'"),
        ("train.epochs", {"choice": [1, 3], "step": 1}, "has no 'step'"),
        ("train.epochs", {"int": [1, 9], "step": 2, "log": True}, "has no step"),
        ("train.epochs", {"int": [1, 9], "log": 1}, "must be true or false"),
        ("train.epochs", {"int": [1, 9], "step": 1.5}, "must be a whole number above 0"),
        ("train.epochs", {"int": [1, 9], "step": 0}, "must be a whole number above 0"),
        ("train.epochs", {"int": [1, 9], "step": True}, "must be a whole number above 0"),
        ("train.epochs", {"int": [1, 9], "step": 3}, "the nearest high that fits is 7"),
        ("train.epochs", {"int": [1, 9], "step": 10}, "`step <= high - low`"),
        ("train.weight_decay", {"uniform": [0, 1], "step": 0.3}, "that fits is 0.9"),
        ("train.weight_decay", {"uniform": [0, 1], "step": -0.1}, "a number above 0"),
        ("train.weight_decay", {"uniform": [0, 1], "step": math.nan}, "a number above 0"),
        ("control.unused", {"int": [0, 9], "log": True}, "needs low >= 1"),
        ("train.epochs", {"int": [1, 9], "when": "train.epochs > 3"}, "the field itself"),
        ("train.epochs", {"int": [1, 9], "when": {"model.fusion.kind": "tnf"}}, "when: .*'tfn'"),
        ("train.epochs", {"int": [1, 9], "when": True}, "when: a condition is"),
    ],
)
def test_a_domain_that_does_not_fit_is_refused(
    path: str, mapping: Mapping[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_domain(Config, path, mapping)
