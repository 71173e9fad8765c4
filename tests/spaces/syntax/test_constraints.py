"""Conditions on a configuration: a small language, and what it refuses."""

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msa_core.config.schema import Config
from spaces.fields.declaration import ConfigError
from spaces.fields.paths import fields_of, replace
from spaces.syntax.constraints import Condition, parse_condition

KIND, WIDTH, USE = "model.fusion.kind", "model.text.width", "model.text.use"


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ({KIND: "lmf"}, f"{KIND} == lmf"),
        ({KIND: ["tfn", "lmf", "tfn"]}, f"{KIND} in [lmf, tfn]"),
        ({USE: True, KIND: ["lmf"]}, f"{KIND} == lmf and {USE}"),
        ({WIDTH: [16, 8]}, f"{WIDTH} in [8, 16]"),
        (f"{WIDTH}>=2*model.projection.width", f"{WIDTH} >= 2 * model.projection.width"),
        (f"{KIND} == 'tfn'", f"{KIND} == tfn"),
        (f"tfn == {KIND}", f"{KIND} == tfn"),
        (f"not {KIND} in (sum, concat)", f"{KIND} not in [concat, sum]"),
        (f"not {WIDTH} < 16", f"{WIDTH} >= 16"),
        (f"{USE} == false", f"not {USE}"),
        (f"({USE}) and ({USE} and {WIDTH} > 1)", f"{USE} and {USE} and {WIDTH} > 1"),
        (f"{USE} and (not {USE} or {WIDTH} > 1)", f"{USE} and (not {USE} or {WIDTH} > 1)"),
        (f"8 <= {WIDTH} <= 64.0", f"8 <= {WIDTH} <= 64"),
        (f"{WIDTH} - (8 - 1) < 1e-3", f"{WIDTH} - (8 - 1) < 0.001"),
        (f"{WIDTH}\n  > 8", f"{WIDTH} > 8"),
        ('control.placebo == "it\'s"', 'control.placebo == "it\'s"'),
        ("control.placebo == 'and'", "control.placebo == 'and'"),
        ("model.text.encoder == model.audio.encoder",) * 2,
    ],
)
def test_a_condition_has_one_text_which_is_read_back(raw: object, text: str) -> None:
    condition = parse_condition(Config, raw)
    assert condition.text == text
    check_round_trip(condition)


def check_round_trip(condition: Condition) -> None:
    again = parse_condition(Config, condition.text)
    assert again == condition
    assert again.text == condition.text
    assert hash(again) == hash(condition)
    assert set(again.paths) == set(condition.paths) <= set(fields_of(Config))
    assert pickle.loads(pickle.dumps(condition)) == condition
    assert again.holds(Config()) == condition.holds(Config())


@pytest.mark.parametrize(
    ("raw", "held", "violated"),
    [
        ({KIND: ["lmf", "tfn"]}, {KIND: "tfn"}, {KIND: "sum"}),
        (f"{WIDTH} >= 2 * model.projection.width", {WIDTH: 64}, {WIDTH: 63}),
        (f"16 <= {WIDTH} < 64", {WIDTH: 16}, {WIDTH: 64}),
        (f"not {USE} or {WIDTH} in [8, 16]", {USE: False}, {WIDTH: 32}),
        (f"-{WIDTH} + 1 < -(10 / 2) * 2 - 4 - 1", {WIDTH: 17}, {WIDTH: 16}),
        (f"{WIDTH} - 8 - 4 == 0", {WIDTH: 12}, {WIDTH: 4}),
        (f"{KIND} != model.text.encoder and {USE} == (1 < 2)", {}, {USE: False}),
    ],
)
def test_a_condition_holds_or_not(
    raw: object, held: dict[str, object], violated: dict[str, object]
) -> None:
    base = replace(Config(), {"model.projection.width": 32})
    assert parse_condition(Config, raw).holds(replace(base, held))
    assert not parse_condition(Config, raw).holds(replace(base, violated))


def test_a_division_by_zero_makes_no_condition_hold() -> None:
    zero = replace(Config(), {"train.weight_decay": 0.0})
    for raw in ("1 / train.weight_decay > 3", "not 1 / train.weight_decay > 3"):
        assert not parse_condition(Config, raw).holds(zero)
    guarded = parse_condition(Config, "train.weight_decay == 0 or 1 / train.weight_decay > 3")
    assert guarded.holds(zero)
    large = " * ".join(["1e18"] * 20)
    assert not parse_condition(Config, f"{WIDTH} < {large}").holds(zero)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("model.text.widht >= 3", "'model.text.widht' is not a field; did you mean 'model.text.w"),
        ({"model.text.widht": 3}, "did you mean 'model.text.width'"),
        ("model.text > 3", "is a group of fields"),
        ("width >= 3", "'width' is not a field"),
        (f"{KIND} == tnf", "did you mean 'tfn'"),
        ({KIND: ["sum", "tnf"]}, "did you mean 'tfn'"),
        (f"{KIND} == 3", "must be a word, but got 3"),
        (f"{KIND} < tfn", "'<' compares numbers"),
        (f"{USE} > 1", "cannot be compared"),
        (f"{WIDTH} == lmf", "must be a whole number"),
        (f"{WIDTH} > lmf", "cannot be compared|is not a field"),
        (f"{WIDTH} == 2.5", "must be a whole number"),
        (f"{WIDTH} == 0", "must lie in"),
        (WIDTH, "is a number, not a condition"),
        (f"{USE} + 1 > 2", "is true or false, not a number"),
        (f"{WIDTH} = 3", "write '=='"),
        (f"{WIDTH} ** 2 > 3", r"'\*\*' is not allowed"),
        (f"{WIDTH} % 2 == 0", "'%' is not allowed"),
        (f"{WIDTH} > 1e400", "too large"),
        (f"{WIDTH} > {'9' * 1000}", "too large"),
        (f"{WIDTH} in 3", "'in' needs a list"),
        (f"{WIDTH} in [model.audio.width]", "not a value that can stand in a list"),
        (f"1 < {WIDTH} in [3]", "chain"),
        ("lambda: 1", "'lambda' is not allowed"),
        ("__import__('os').system('ls') == 1", "'.' is not allowed"),
        (f"[x for x in {USE}]", "'for' is not allowed"),
        (f"f'{{{USE}}}' == 'a'", "cannot be read"),
        (f"({USE}", "cannot be read"),
        ("1 < 2", "reads no field"),
        ("", "is empty"),
        ({}, "at least one field"),
        ({KIND: []}, "no value"),
        (3, "a condition is a mapping"),
        (None, "a condition is a mapping"),
        ("(" * 10_000 + USE + ")" * 10_000, "characters long"),
        ("(" * 300 + USE + ")" * 300, "parts"),
        ("(" * 100 + USE + ")" * 100, "brackets inside one another"),
        ("not " * 300 + USE, "inside one another"),
        ("1+" * 180 + f"1 < {WIDTH}", "inside one another"),
        ("-" * 390 + f"{WIDTH} < 1", "inside one another"),
    ],
)
def test_what_is_no_condition_is_refused_in_one_line(raw: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse_condition(Config, raw)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


PARTS = st.sampled_from(
    [
        WIDTH, USE, KIND, "tfn", "lmf", "'lmf'", "true", "false", "3", "0.5", "1e3", "and", "or",
        "not", "in", "[", "]", "(", ")", ",", "+", "-", "*", "/", "<", "<=", "==", "!=", ">",
        "train.weight_decay", "**", "=", "lambda", ".", "is", "if", "\n", "é", "None",
    ]
)  # fmt: skip
NUMBERS = st.recursive(
    st.sampled_from([WIDTH, "train.weight_decay", "2", "0.25", "1e17", "0"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
        st.tuples(inner, st.sampled_from("+-*/"), inner).map(" ".join),
        inner.map("-{}".format),
    ),
    max_leaves=6,
)
CONDITIONS = st.recursive(
    st.one_of(
        st.sampled_from([USE, f"{KIND} == tfn", f"{KIND} not in [sum, lmf]", f"{USE} != true"]),
        st.tuples(NUMBERS, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), NUMBERS).map(
            " ".join
        ),
        st.tuples(NUMBERS, NUMBERS, NUMBERS).map(" < ".join),
    ),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(
            lambda p: f"({p[0]}) {p[1]} {p[2]}"
        ),
        inner.map("not {}".format),
        inner.map("not ({})".format),
    ),
    max_leaves=6,
)


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.text(max_size=60), st.lists(PARTS, max_size=14).map(" ".join), CONDITIONS))
def test_any_text_is_a_condition_or_is_refused_in_one_line(raw: str) -> None:
    try:
        condition = parse_condition(Config, raw)
    except ConfigError as error:
        assert len(str(error).splitlines()) == 1
    else:
        check_round_trip(condition)


@settings(max_examples=300, deadline=None)
@given(CONDITIONS)
def test_a_text_means_what_it_means_in_python(raw: str) -> None:
    config = replace(Config(), {"train.weight_decay": 0.25})
    try:
        condition = parse_condition(Config, raw)
    except ConfigError:  # no field, or one said to equal what it can't
        return
    known = {WIDTH: float(config.model.text.width), "train.weight_decay": 0.25, USE: True}
    python = raw.replace("true", "True").replace("tfn", "'tfn'").replace("[sum, lmf]", "['sum']")
    for path, value in {**known, KIND: "concat"}.items():
        python = python.replace(path, repr(value))
    try:
        assert condition.holds(config) == eval(python)
    except ZeroDivisionError:
        assert not condition.holds(config)


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.one_of(st.sampled_from([KIND, WIDTH, USE, "control.placebo"]), st.text(max_size=5)),
        st.one_of(
            st.sampled_from(["tfn", "sum", 8, True]),
            st.text(max_size=8),
            st.lists(st.one_of(st.sampled_from(["tfn", 8, 16, 8.0]), st.text(max_size=5))),
            st.none(),
            st.floats(),
        ),
        max_size=3,
    )
)
def test_any_mapping_is_a_condition_or_is_refused_in_one_line(raw: dict[str, object]) -> None:
    try:
        condition = parse_condition(Config, raw)
    except ConfigError as error:
        assert len(str(error).splitlines()) == 1
    else:
        check_round_trip(condition)
