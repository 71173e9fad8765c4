import json
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.encoding import (
    MOST_EPOCHS,
    MOST_TEXT,
    TAG_EPOCHS,
    cells_from_rows,
    curve_from_tags,
    curve_tags,
    decode_floats,
    encode_curve,
    encode_floats,
    facts_from_json,
    facts_to_json,
    information_from_plain,
    information_to_plain,
    parse_param,
    tags_from_plain,
    tags_to_plain,
)
from reports.results import Amount, ResultsError, SharedInformation


@given(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False))
def test_params_come_back_as_they_went(value: object) -> None:
    parsed = parse_param(str(value))
    assert parsed == value and type(parsed) is type(value)


@pytest.mark.parametrize("text", ["1e5", "007", "1_000", " 1", "true", "gated", "", "a = 1"])
def test_text_that_no_number_prints_as_stays_text(text: str) -> None:
    assert parse_param(text) == text


@given(st.lists(st.floats(width=32, allow_nan=False)))
def test_floats_come_back_as_they_went(values: list[float]) -> None:
    array = np.array(values, dtype=np.float32)
    np.testing.assert_array_equal(decode_floats(encode_floats(array)), array)


@pytest.mark.parametrize("text", ["not base64!", "AAA=", "AAAAAAA="])
def test_broken_floats_are_refused(text: str) -> None:
    with pytest.raises(ResultsError):
        decode_floats(text)


@given(st.lists(st.none() | st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_curves_come_back_as_they_went(values: list[float | None]) -> None:
    curve = encode_curve(values)
    assert [None if np.isnan(value) else value for value in curve.tolist()] == values
    np.testing.assert_array_equal(curve_from_tags({**curve_tags(curve), "other": "x"}), curve)


@pytest.mark.parametrize("epochs", [0, 1, TAG_EPOCHS, TAG_EPOCHS + 1, 5 * TAG_EPOCHS, MOST_EPOCHS])
def test_a_long_curve_takes_several_tags_and_loses_nothing(epochs: int) -> None:
    curve = encode_curve([epoch / 7 for epoch in range(epochs)])
    tags = curve_tags(curve)
    assert len(curve) == epochs and len(tags) == -(-epochs // TAG_EPOCHS)
    assert all(len(text) <= MOST_TEXT for text in tags.values())
    np.testing.assert_array_equal(curve_from_tags(tags), curve)


def test_a_curve_that_no_source_could_keep_is_left_out() -> None:
    assert len(encode_curve([0.0] * (MOST_EPOCHS + 1))) == 0


def test_what_is_too_large_for_a_curve_is_undefined() -> None:
    """Ledgers of before curves were packed have such numbers."""
    assert np.isnan(encode_curve([1e300, -1e300, float("inf")])).all()


@given(
    st.dictionaries(
        st.text(max_size=5), st.lists(st.sampled_from(["short", "é", "a b", ""]), max_size=9)
    )
)
def test_tags_come_back_as_they_went(tags: dict[str, list[str]]) -> None:
    again = tags_from_plain(json.loads(json.dumps(tags_to_plain(tags))))
    assert again == {dimension: tuple(values) for dimension, values in tags.items()}


@pytest.mark.parametrize("plain", [{"x": 1}, {"x": {}}, [], {"x": {"names": [], "codes": "AA=="}}])
def test_broken_tags_are_refused(plain: dict[str, object]) -> None:
    with pytest.raises(ResultsError, match="tags of the utterances"):
        tags_from_plain(plain)


def test_information_comes_back_as_it_went() -> None:
    amount = Amount(value=-0.1, low=0.0, high=1 / 3, null_high=0.02, p=0.005)
    pair = SharedInformation(
        first="text", second="audio", redundancy=amount, unique_first=amount,
        unique_second=amount, synergy=amount, total=amount, utterances=7, split="train",
        method="some",
    )  # fmt: skip
    plain = json.loads(json.dumps(information_to_plain([pair])))
    assert information_from_plain(plain) == (pair,)
    del plain[0]["split"]
    with pytest.raises(ResultsError, match="modalities"):
        information_from_plain(plain)


def test_facts_come_back_as_they_went(synthetic: ModuleType) -> None:
    facts = synthetic.make_facts(("full", "other é"), notes=("a", "b"), margins={"mae": 0.1})
    assert facts_from_json(facts_to_json(facts)) == facts


@pytest.mark.parametrize("text", ["{", "[]", '{"unknown": 1}', '{"study": "x"}'])
def test_broken_facts_are_refused(text: str) -> None:
    with pytest.raises(ResultsError, match="facts"):
        facts_from_json(text)


def test_cells_do_not_depend_on_the_order_of_rows(synthetic: ModuleType) -> None:
    rows = synthetic.make_results().cells.to_dict("records")
    assert cells_from_rows(rows).equals(cells_from_rows(reversed(rows)))


def test_no_rows_are_still_cells(synthetic: ModuleType) -> None:
    results = synthetic.make_results(seeds=(), tuned=False)
    assert replace(results, cells=cells_from_rows([])).cells.empty
