from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.encoding import (
    cells_from_rows,
    decode_floats,
    encode_floats,
    facts_from_json,
    facts_to_json,
    parse_param,
)
from reports.results import ResultsError


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
