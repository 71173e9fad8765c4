"""Reports of tasks with other predictions than one number, and of metrics of a user's own."""

from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from reports.encoding import decode_labels, encode_labels
from reports.evidence.comparison import compare_arms
from reports.evidence.gather import gather_evidence
from reports.evidence.statistics.cell_values import part_of_cell, value_of_part
from reports.results import Results, ResultsError, StatedClaim, shape_predictions
from reports.write import write_report
from spaces.metrics.canonical import canonical_predictions
from spaces.metrics.kinds import OwnMetric
from spaces.metrics.tasks import TASK_METRICS, score_all

OWN = OwnMetric("reward", higher_is_better=True)


def make_task_results(synthetic: ModuleType, task: str, primary: str) -> Results:
    """Make two arms, the second with half the signal, in the shapes of a task; stored flat."""
    results = synthetic.make_results(
        {"full": 0.5, "half": 0.5}, primary=primary, scheme=task, core="mine"
    )
    rng = np.random.default_rng(3)
    labels = np.arange(60) % 3 if task == "multiclass" else rng.integers(0, 2, (60, 3))
    wanted = np.eye(3)[labels] if task == "multiclass" else labels
    cells = results.cells[[c for c in results.cells if not c.startswith("metric.test.")]].copy()
    predictions = {}
    for key in results.predictions:
        given = wanted * (2 if "full" in key else 1) + rng.normal(size=wanted.shape)
        found = canonical_predictions(task, given, labels)
        predictions[key] = found.astype(np.float32).ravel()
        for name, value in score_all(task, found, labels).items():
            cells.loc[cells["key"] == key, f"metric.test.{name}"] = value
    return replace(
        results, cells=cells, predictions=predictions, labels=labels.astype(np.float32), tags={}
    )


@pytest.mark.parametrize(
    ("task", "primary"),
    [("multiclass", "auroc_ovr"), ("multilabel", "mean_average_precision")],
)
def test_every_metric_of_a_task_has_an_interval(
    synthetic: ModuleType, task: str, primary: str
) -> None:
    results = make_task_results(synthetic, task, primary)
    compared = compare_arms(results, TASK_METRICS[task], seed=0, draws=300)
    assert not compared.notes  # what is stored is what the predictions give
    for name, metric in TASK_METRICS[task].items():
        estimate = compared.estimate_of("half", name)
        assert estimate.ci_low is not None and estimate.ci_high is not None
        assert estimate.ci_low < (estimate.delta or 0) < estimate.ci_high
        # A weaker model can be as well calibrated.
        assert name == "ece" or ((estimate.delta or 0) < 0) == metric.higher_is_better
    assert compared.estimate_of("half", primary).verdict == "worse"


def test_slices_are_of_general_metrics_too(synthetic: ModuleType) -> None:
    results = make_task_results(synthetic, "multiclass", "macro_f1")
    results = replace(results, tags={"length": ("short",) * 20 + ("long",) * 40})
    metrics = TASK_METRICS["multiclass"]
    compared = compare_arms(results, metrics, seed=0, draws=100)
    found = gather_evidence(results, compared, metrics, seed=0).slices
    assert [(s.arm, s.tag, s.utterances) for s in found][:2] == [
        ("full", "short", 20), ("half", "short", 20),
    ]  # fmt: skip
    keys = [key for key in results.predictions if "half" in key]
    assert results.labels is not None
    known = [
        metrics["macro_f1"].score(results.predictions[k].reshape(60, 3)[:20], results.labels[:20])
        for k in keys
    ]
    assert found[1].mean == pytest.approx(np.mean(known))
    assert found[1].low is not None and found[1].low < (found[1].delta or 0)


def test_a_report_has_the_words_of_its_core(synthetic: ModuleType, tmp_path: Path) -> None:
    results = make_task_results(synthetic, "multiclass", "auroc_ovr")
    claim = StatedClaim(
        text="half is worse",
        arm="half",
        relation="worse",
        other="full",
        metric="accuracy",
        amount=0,
    )
    results = replace(results, facts=replace(results.facts, claims=(claim,)))
    report = write_report(results, TASK_METRICS["multiclass"], tmp_path)
    for name, path in report.files.items():
        text = path.read_bytes()
        assert b"tterance" not in text.split(b"<script")[0], name
    text = (tmp_path / "report.html").read_text(encoding="utf-8").split("<script")[0]
    assert "seeds and test examples" in text and "60 examples" in text
    assert "over seeds and examples" in report.comparison.claims[0].sentence


def make_own_results(synthetic: ModuleType, **changes: Any) -> Results:
    """Make two arms of which a metric of the user's own is known, and no predictions."""
    claim = StatedClaim(
        text="b is better", arm="b", relation="better", other="a", metric="reward", amount=0
    )
    made = synthetic.make_results(
        {"a": 0.5, "b": 0.5}, primary="reward", scheme="scores", core="mine", claims=(claim,),
        **changes,
    )  # fmt: skip
    rng = np.random.default_rng(5)
    cells = made.cells[[c for c in made.cells if not c.startswith("metric.test.")]].copy()
    confirm = cells["phase"] == "confirm"
    reward = rng.normal(size=len(cells)) + 3 * (cells["arm"] == "b")
    cells["metric.test.reward"] = reward.where(confirm)
    return replace(made, cells=cells, predictions={}, labels=None)


def test_a_metric_of_the_user_s_has_a_verdict_over_seeds_that_says_so(
    synthetic: ModuleType, tmp_path: Path
) -> None:
    results = make_own_results(synthetic)
    report = write_report(results, {"reward": OWN}, tmp_path, paper=True)
    estimate = report.comparison.estimate_of("b", "reward")
    assert estimate.verdict == "better"
    assert estimate.ci_low is not None and estimate.ci_low > 1
    (note,) = report.comparison.notes
    assert note.startswith("reward: intervals are over seeds only")
    (answer,) = report.comparison.claims
    assert answer.verdict == "supported" and "over seeds only;" in answer.sentence
    page = (tmp_path / "report.html").read_text(encoding="utf-8").split("<script")[0]
    assert "intervals are over seeds only" in page and "over the seeds only. It answers" in page
    assert "95 % t interval (seeds only)" in page and "two-level" not in page
    assert "two-level" not in (tmp_path / "paper/methods.tex").read_text(encoding="utf-8")


def test_one_seed_gives_no_interval_over_seeds(synthetic: ModuleType) -> None:
    results = make_own_results(synthetic, seeds=(1,))
    compared = compare_arms(results, {"reward": OWN}, seed=0)
    assert compared.estimate_of("b", "reward").verdict == "undecided"
    assert compared.claims[0].reason == "one shared seed gives no interval over seeds"


def test_a_metric_of_the_user_s_stands_beside_resampled_ones(synthetic: ModuleType) -> None:
    results = make_task_results(synthetic, "multiclass", "accuracy")
    cells = results.cells.copy()
    cells["metric.test.reward"] = cells["metric.test.accuracy"]
    metrics = {**TASK_METRICS["multiclass"], "reward": OWN}
    beside = compare_arms(replace(results, cells=cells), metrics, seed=0, draws=200)
    alone = compare_arms(results, TASK_METRICS["multiclass"], seed=0, draws=200)
    assert set(alone.estimates) <= set(beside.estimates)
    own, accuracy = (beside.estimate_of("half", name) for name in ("reward", "accuracy"))
    assert own.delta == accuracy.delta and own.ci_low != accuracy.ci_low
    lost = replace(results, cells=cells, predictions={})
    without = compare_arms(lost, metrics, seed=0, draws=200)
    assert without.estimate_of("half", "reward").ci_low == own.ci_low
    assert without.estimate_of("half", "accuracy").ci_low is None


def test_a_part_of_the_test_set_has_no_metric_of_the_user_s(synthetic: ModuleType) -> None:
    results = make_task_results(synthetic, "multiclass", "accuracy")
    cells = results.cells.assign(**{"metric.test.reward": results.cells["metric.test.accuracy"]})
    facts = replace(results.facts, primary="reward")
    results = replace(results, cells=cells, facts=facts, tags={"d": ("x",) * 30 + ("y",) * 30})
    compared = compare_arms(results, {"reward": OWN}, seed=0)
    evidence = gather_evidence(results, compared, {"reward": OWN}, seed=0)
    assert not evidence.slices and "no value on a part" in evidence.declined["slices"]


def test_flat_predictions_take_the_shape_of_labels_or_classes() -> None:
    flat = np.arange(12, dtype=np.float32)
    assert shape_predictions(flat, np.zeros(4, np.float32)).shape == (4, 3)
    assert shape_predictions(flat, np.zeros(12, np.float32)).shape == (12,)
    assert shape_predictions(flat, np.zeros((4, 3), np.float32))[1].tolist() == [3, 4, 5]


@pytest.mark.parametrize(("size", "shape"), [(5, (4,)), (0, (4,)), (24, (4, 3)), (4, (4, 3))])
def test_predictions_that_fit_no_labels_are_refused(
    synthetic: ModuleType, size: int, shape: tuple[int, ...]
) -> None:
    results = synthetic.make_results({"a": 0.5, "b": 0.5})
    flat = dict.fromkeys(results.predictions, np.zeros(size, np.float32))
    with pytest.raises(ResultsError, match="do not fit the test labels"):
        replace(results, labels=np.zeros(shape, np.float32), predictions=flat, tags={})


def test_labels_keep_their_columns() -> None:
    one, three = np.arange(6, dtype=np.float32), np.arange(6, dtype=np.float32).reshape(2, 3)
    assert isinstance(encode_labels(one), str)
    for labels in (one, three):
        np.testing.assert_array_equal(decode_labels(encode_labels(labels)), labels)
    with pytest.raises(ResultsError, match="test labels are damaged"):
        decode_labels({"columns": 4, "values": encode_labels(one)})


def test_a_value_is_that_of_the_shaped_predictions(synthetic: ModuleType) -> None:
    results = make_task_results(synthetic, "multiclass", "nll")
    key = next(iter(results.predictions))
    known = results.cells.set_index("key").loc[key]
    for name, metric in TASK_METRICS["multiclass"].items():
        part = part_of_cell(results, key, metric)
        assert value_of_part(metric, part) == pytest.approx(known[f"metric.test.{name}"], abs=1e-12)


def test_costly_metrics_that_no_verdict_is_of_have_fewer_draws_and_a_note(
    synthetic: ModuleType,
) -> None:
    metrics = TASK_METRICS["multiclass"]
    judged = make_task_results(synthetic, "multiclass", "macro_f1")
    compared = compare_arms(judged, metrics, seed=0, draws=2_100)
    (note,) = compared.notes
    assert note.startswith("Weighted F1, Balanced accuracy, AUROC (one vs rest): intervals are of")
    assert "2,000 draws instead of 2,100" in note
    fewer = compare_arms(judged, metrics, seed=0, draws=2_000)
    for name, same in {"weighted_f1": True, "macro_f1": False, "accuracy": False}.items():
        ends = [one.estimate_of("half", name).ci_low for one in (compared, fewer)]
        assert (ends[0] == ends[1]) == same, name
    margins = replace(judged, facts=replace(judged.facts, margins={"weighted_f1": 0.01}))
    assert "Weighted F1" not in compare_arms(margins, metrics, seed=0, draws=2_100).notes[0]
