"""What one cell is in MLflow: its run's name, tags, metrics and params. Imports no mlflow."""

from collections.abc import Iterator, Mapping

from reports.encoding import curve_of, curve_tags
from search.ledger.record import CellRecord
from search.redaction import first_of, last_of
from search.results.folder import without_test
from spaces.plan.plan import CONFIRM

STATUS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}
SEALED = "triptych.sealed"  # "1": its test metrics are not there yet, as the study is unfinished
CURVES = ("train.loss",)  # and the validation curve of the study's metric


def cell_name(cell: CellRecord) -> str:
    """As the list of runs shows it."""
    return f"{cell.phase} {cell.candidate} seed {cell.seed}"


def cell_tags(cell: CellRecord, primary: str, sealed: bool = False) -> dict[str, str]:
    """What a report needs to know of a cell besides its numbers.

    Args:
        cell: whole.
        primary: the metric whose validation curve a report wants.
        sealed: whether the study is unfinished.
    """
    tags = {
        "triptych.key": cell.key,
        "triptych.arm": cell.arm,
        "triptych.phase": cell.phase,
        "triptych.candidate": str(cell.candidate),
        "triptych.seed": str(cell.seed),
        "triptych.epochs": str(cell.epochs),
        **stamp(cell),
        **curve_tags(curve_of(cell.curve.get(f"valid.{primary}", ()))),
    }
    if sealed and is_tested(cell):
        tags[SEALED] = "1"
    if cell.code:
        tags["triptych.code"] = cell.code
    if cell.kind:
        tags["triptych.failure"] = cell.kind
    if cell.log:
        tags["triptych.log"] = last_of(cell.log)
    return tags


def is_tested(cell: CellRecord) -> bool:
    """Whether it has test metrics, or will have them here."""
    return cell.phase == CONFIRM and cell.status == "complete"


def stamp(cell: CellRecord) -> dict[str, str]:
    """The tags by which a run of an earlier training of the same cell is known for one."""
    tags = {"triptych.status": cell.status}
    if cell.attempts != 1:
        tags["triptych.attempts"] = str(cell.attempts)
    if cell.reason:
        tags["triptych.reason"] = first_of(cell.reason)
    return tags


def stamp_of_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """The same, as a run has it."""
    names = ("triptych.status", "triptych.attempts", "triptych.reason")
    return {name: tags[name] for name in names if name in tags}


def cell_metrics(
    cell: CellRecord, primary: str, sealed: bool = False
) -> Iterator[tuple[str, float, int]]:
    """Name, value and step of every metric; curves are named `epoch/<name>`, from step 1."""
    for name, value in (without_test(cell.metrics) if sealed else cell.metrics).items():
        yield name, value, 0
    for name in (*CURVES, f"valid.{primary}"):
        for epoch, point in enumerate(cell.curve.get(name, ()), start=1):
            if point is not None:
                yield f"epoch/{name}", point, epoch


def kept_back(cell: CellRecord) -> Iterator[tuple[str, float, int]]:
    """What a sealed run lacks of them."""
    kept = without_test(cell.metrics)
    return ((name, value, 0) for name, value in cell.metrics.items() if name not in kept)
