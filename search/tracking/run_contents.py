"""The contents of MLflow's runs: of a study its files, of an arm and of a cell tags and metrics.

Imports no mlflow: the driver, the marker and tests use it, and importing mlflow takes seconds.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from reports.encoding import curve_tags, encode_curve, information_to_plain, tags_to_plain
from reports.results import ResultsError
from search.ledger.record import CellRecord
from search.redaction import shorten_log, shorten_reason
from search.results.folder import Manifest, read_manifest, without_test
from search.results.shared_information import read_information
from search.results.unblinding_log import unblinding_sentences
from spaces.core import Status
from spaces.plan.plan import Phase

STATUS = {Status.COMPLETE: "FINISHED", Status.PRUNED: "KILLED", Status.FAILED: "FAILED"}
SEALED = "triptych.sealed"  # "1": its test metrics are not there yet, as the study is unfinished
CURVES = ("train.loss",)  # and the validation curve of the study's metric


def cell_name(cell: CellRecord) -> str:
    """Return the name of a cell's run in MLflow's list of runs."""
    return f"{cell.phase} {cell.candidate} seed {cell.seed}"


def cell_tags(cell: CellRecord, primary: str, embargoed: bool = False) -> dict[str, str]:
    """Return what a report needs to know of a cell besides its numbers.

    Args:
        cell: Record with its curves.
        primary: Metric whose validation curve a report shows.
        embargoed: Whether the study is unfinished, so that test metrics are withheld.
    """
    tags = {
        "triptych.key": cell.key,
        "triptych.arm": cell.arm,
        "triptych.phase": str(cell.phase),
        "triptych.candidate": str(cell.candidate),
        "triptych.seed": str(cell.seed),
        "triptych.epochs": str(cell.epochs),
        **training_stamp(cell),
        **curve_tags(encode_curve(cell.curve.get(f"valid.{primary}", ()))),
    }
    if embargoed and is_tested(cell):
        tags[SEALED] = "1"
    if cell.code:
        tags["triptych.code"] = cell.code
    if cell.kind:
        tags["triptych.failure"] = cell.kind
    if cell.log:
        tags["triptych.log"] = shorten_log(cell.log)
    return tags


def is_tested(cell: CellRecord) -> bool:
    """Check whether a cell has test metrics, or will have them in MLflow later."""
    return cell.phase == Phase.CONFIRM and cell.status == Status.COMPLETE


def training_stamp(cell: CellRecord) -> dict[str, str]:
    """Return the tags that tell a run of this training from one of an earlier training."""
    # A tag only where there is something to say: a study has thousands of cells, and nearly all
    # of them succeed at once.
    tags = {"triptych.status": str(cell.status)}
    if cell.attempts != 1:
        tags["triptych.attempts"] = str(cell.attempts)
    if cell.reason:
        tags["triptych.reason"] = shorten_reason(cell.reason)
    return tags


def stamp_from_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the training stamp that a run's tags hold."""
    names = ("triptych.status", "triptych.attempts", "triptych.reason")
    return {name: tags[name] for name in names if name in tags}


def cell_metrics(
    cell: CellRecord, primary: str, embargoed: bool = False
) -> Iterator[tuple[str, float, int]]:
    """Yield name, value and step of every metric; curves are named `epoch/<name>`, from step 1."""
    for name, value in (without_test(cell.metrics) if embargoed else cell.metrics).items():
        yield name, value, 0
    for name in (*CURVES, f"valid.{primary}"):
        for epoch, point in enumerate(cell.curve.get(name, ()), start=1):
            if point is not None:
                yield f"epoch/{name}", point, epoch


def withheld_metrics(cell: CellRecord) -> Iterator[tuple[str, float, int]]:
    """Yield name, value and step of the metrics that the run of an unfinished study lacks."""
    kept = without_test(cell.metrics)
    return ((name, value, 0) for name, value in cell.metrics.items() if name not in kept)


def arm_means(cells: Sequence[CellRecord]) -> dict[str, float]:
    """Average each metric over an arm's complete confirm cells, as `confirm.mean.<metric>`."""
    confirmed = _confirmed_cells(cells)
    # Only metrics that all of them have: a mean over some of the seeds would look like one of all.
    shared = [set(cell.metrics) for cell in confirmed]
    names = sorted(set.intersection(*shared)) if shared else []
    return {
        f"confirm.mean.{name}": float(np.mean([cell.metrics[name] for cell in confirmed]))
        for name in names
    }


def best_params(cells: Sequence[CellRecord]) -> dict[str, str]:
    """Return the values of the confirmed candidate, as tags `best.<field>`."""
    confirmed = _confirmed_cells(cells)
    if not confirmed:
        return {}
    # Tags and not params: MLflow never lets a param change, and a larger budget may find a better
    # candidate.
    return {f"best.{name}": str(value) for name, value in confirmed[0].params.items()}


def arm_status(cells: Sequence[CellRecord], complete: bool) -> str:
    """Return MLflow's word for how an arm ended."""
    if not complete:
        return "KILLED"
    return "FINISHED" if _confirmed_cells(cells) else "FAILED"


def _confirmed_cells(cells: Sequence[CellRecord]) -> list[CellRecord]:
    return [
        cell for cell in cells if cell.phase == Phase.CONFIRM and cell.status == Status.COMPLETE
    ]


def late_files(folder: Path, manifest: Manifest) -> dict[str, str]:
    """Return the files that come while a study runs or afterwards, as name -> text.

    Args:
        folder: Results folder; what it knows of the test utterances counts.
        manifest: Manifest of the same plan.
    """
    # What the plan alone determines (`facts.json`, `test_labels.json`) is there from the beginning.
    try:
        tags = read_manifest(folder).tags
    except ResultsError:
        tags = manifest.tags
    content = {
        "tags.json": tags_to_plain(tags),
        "modalities.json": information_to_plain(read_information(folder, manifest.versions.data)),
        "openings.json": list(unblinding_sentences(folder, manifest.size)),
    }
    return {name: json.dumps(value, indent=1) for name, value in content.items() if value}
