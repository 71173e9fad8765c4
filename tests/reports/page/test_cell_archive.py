"""Every cell comes back from its few bytes."""

import base64
import json
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from reports.page.assets import compact_json
from reports.page.cell_archive import CURVE_POINTS, cell_archive, pack_curve
from reports.results import PARAM, Results

LABELS = {"mae": "MAE"}


@pytest.fixture(scope="module")
def results(synthetic: ModuleType, full: ModuleType) -> Results:
    found = full.full_results(synthetic.score)
    assert isinstance(found, Results)
    return found


def unpacked(text: str, kind: str) -> Any:
    return np.frombuffer(base64.b64decode(text), dtype=kind)


def test_every_cell_is_there_with_every_number(results: Results) -> None:
    archive = json.loads(compact_json(cell_archive(results, LABELS)))
    cells = results.cells.set_index("key").loc[archive["keys"]]
    assert len(cells) == len(results.cells)
    arms = [archive["arms"][place] for place in unpacked(archive["arm"], "<u2")]
    assert arms == list(cells["arm"])
    for name in ("candidate", "epochs"):
        assert list(unpacked(archive[name], "<i4")) == list(cells[name])
    assert list(unpacked(archive["seed"], "<f8")) == list(cells["seed"])
    for metric in archive["metrics"]:
        expected = cells[f"metric.{metric['name']}"].to_numpy(dtype=np.float32)
        np.testing.assert_array_equal(unpacked(metric["values"], "<f4"), expected)
    assert "MAE, test" in [metric["label"] for metric in archive["metrics"]]


def test_every_parameter_is_there_and_a_missing_one_is_missing(results: Results) -> None:
    gone = results.cells["key"] == "t001-0002"
    cells = results.cells.copy()
    cells.loc[gone, f"{PARAM}model.fusion.kind"] = None
    changed = replace(results, cells=cells)
    archive = cell_archive(changed, LABELS)
    ordered = cells.set_index("key").loc[archive["keys"]]
    for item in archive["params"]:
        codes = unpacked(item["codes"], "<u2") if "codes" in item else np.ones(len(ordered), int)
        shown = [item["values"][code - 1] if code else None for code in codes]
        for text, value in zip(shown, ordered[f"{PARAM}{item['path']}"], strict=True):
            if value is None:
                assert text is None
            elif isinstance(value, bool):
                assert text == str(value).lower()
            elif isinstance(value, float):
                assert text is not None and float(text) == pytest.approx(value, rel=1e-5)
            else:
                assert text == str(value)
    constant = next(item for item in archive["params"] if item["path"] == "train.batch_size")
    assert "codes" not in constant and constant["values"] == ["64"]


def test_a_curve_keeps_its_ends_and_its_shape() -> None:
    curve = np.linspace(2.0, 1.0, 200).astype(np.float32)
    packed = pack_curve(curve)
    assert packed is not None
    (low, high), points = packed
    assert (low, high) == (1.0, 2.0) and len(points) == CURVE_POINTS
    assert points[0] == 254 and points[-1] == 0
    assert list(points) == sorted(points, reverse=True)


def test_an_epoch_without_a_value_is_marked_and_a_flat_curve_stays_flat() -> None:
    packed = pack_curve(np.array([1.0, np.nan, 1.0], dtype=np.float32))
    assert packed is not None and list(packed[1]) == [127, 255, 127]
    assert pack_curve(np.array([np.nan, np.nan], dtype=np.float32)) is None
    assert pack_curve(np.array([], dtype=np.float32)) is None


def test_curves_stand_with_their_cells(results: Results) -> None:
    archive = cell_archive(results, LABELS)
    curves = archive["curves"]
    places = unpacked(curves["places"], "<u4")
    assert {archive["keys"][place] for place in places} == set(results.curves)
    ends = unpacked(curves["ends"], "<f4").reshape(-1, 2)
    key = archive["keys"][places[5]]
    np.testing.assert_allclose(
        ends[5], [results.curves[key].min(), results.curves[key].max()], rtol=1e-4
    )
    assert set(unpacked(curves["epochs"], "<u4")) == {30}
    assert len(base64.b64decode(curves["points"])) == unpacked(curves["lengths"], "<u2").sum()


def test_the_order_of_cells_changes_no_byte(results: Results) -> None:
    shuffled = replace(results, cells=results.cells.sample(frac=1, random_state=4))
    first, second = (compact_json(cell_archive(r, LABELS)) for r in (results, shuffled))
    assert first == second


def test_the_command_is_quoted_for_a_shell(results: Results) -> None:
    facts = replace(results.facts, study="a; rm -rf /")
    command = cell_archive(replace(results, facts=facts), LABELS)["command"]
    assert command == "triptych reproduce 'a; rm -rf /'"


def test_a_study_without_cells_has_an_archive(synthetic: ModuleType) -> None:
    empty = synthetic.make_results(seeds=(), tuned=False)
    assert cell_archive(empty, LABELS)["keys"] == []
