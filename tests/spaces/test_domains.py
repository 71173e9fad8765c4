"""What a searched field may be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msa_core.config import ConfigError
from spaces.document import parse
from spaces.domains import Choice, Int, LogUniform, Uniform, describe, parse_domain

DOMAINS = st.one_of(
    st.tuples(st.integers(1, 2000), st.integers(1, 2000)).map(
        lambda ends: ("model.fusion.width", Int(min(ends), max(ends) + 1))
    ),
    st.tuples(st.floats(0, 0.4), st.floats(0.5, 0.95)).map(
        lambda ends: ("model.fusion.dropout", Uniform(*ends))
    ),
    st.tuples(st.floats(1e-6, 0.01), st.floats(0.1, 1)).map(
        lambda ends: ("train.learning_rate", LogUniform(*ends))
    ),
    st.lists(st.integers(2, 512), min_size=2, unique=True).map(
        lambda options: ("train.batch_size", Choice(tuple(options)))
    ),
)


@given(DOMAINS)
def test_a_domain_written_in_a_study_file_is_read_back(
    named: tuple[str, Uniform | LogUniform | Int | Choice],
) -> None:
    path, domain = named
    kind = {Uniform: "uniform", LogUniform: "log_uniform", Int: "int", Choice: "choice"}
    arguments = list(domain.options) if isinstance(domain, Choice) else [domain.low, domain.high]
    written = parse(repr(arguments), "text").plain()
    assert parse_domain(path, kind[type(domain)], written) == domain
    assert describe(domain).startswith(kind[type(domain)])


@pytest.mark.parametrize(
    ("path", "kind", "arguments", "message"),
    [
        ("train.learning_rate", "log_uniform", [0.1], r"needs \[low, high\]"),
        ("train.learning_rate", "log_uniform", "0.1", "needs a list"),
        ("train.weight_decay", "log_uniform", [0.0, 0.1], "needs low > 0"),
        ("train.epochs", "int", [1.5, 3], "must be a whole number"),
        ("model.fusion.kind", "choice", ["sum"], "two or more different values"),
        ("model.fusion.kind", "choice", ["sum", "sum"], "two or more different values"),
        ("model.fusion.kind", "choice", ["sum", "tnf"], "did you mean 'tfn'"),
        ("model.text.use", "int", [0, 1], "must be true or false"),
        ("nothing", "int", [0, 1], "is not a field"),
    ],
)
def test_a_domain_that_does_not_fit_is_refused(
    path: str, kind: str, arguments: object, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_domain(path, kind, arguments)
