"""What one cell is in MLflow: its run's name, tags, metrics and params. Imports no mlflow."""

from collections.abc import Iterator, Mapping

from search.ledger import CellRecord
from search.redaction import without_secrets

STATUS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}
CURVES = ("train.loss",)  # and the validation curve of the study's metric
MOST_TEXT = 4000  # characters of a reason or a log; MLflow takes 8000 in a tag


def cell_name(cell: CellRecord) -> str:
    """As the list of runs shows it."""
    return f"{cell.phase} {cell.candidate} seed {cell.seed}"


def cell_tags(cell: CellRecord) -> dict[str, str]:
    """What a report needs to know of a cell besides its numbers."""
    tags = {
        "triptych.key": cell.key,
        "triptych.arm": cell.arm,
        "triptych.phase": cell.phase,
        "triptych.candidate": str(cell.candidate),
        "triptych.seed": str(cell.seed),
        "triptych.epochs": str(cell.epochs),
        **stamp(cell),
    }
    if cell.code:
        tags["triptych.code"] = cell.code
    if cell.kind:
        tags["triptych.failure"] = cell.kind
    if cell.log:
        tags["triptych.log"] = _storable(cell.log)[-MOST_TEXT:]  # its end says most
    return tags


def stamp(cell: CellRecord) -> dict[str, str]:
    """The tags by which a run of an earlier training of the same cell is known for one."""
    tags = {"triptych.status": cell.status}
    if cell.attempts != 1:
        tags["triptych.attempts"] = str(cell.attempts)
    if cell.reason:
        tags["triptych.reason"] = _storable(cell.reason)[:MOST_TEXT]
    return tags


def stamp_of_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """The same, as a run has it."""
    names = ("triptych.status", "triptych.attempts", "triptych.reason")
    return {name: tags[name] for name in names if name in tags}


def cell_metrics(cell: CellRecord, primary: str) -> Iterator[tuple[str, float, int]]:
    """Name, value and step of every metric; curves are named `epoch/<name>`, from step 1."""
    for name, value in cell.metrics.items():
        yield name, value, 0
    for name in (*CURVES, f"valid.{primary}"):
        for epoch, point in enumerate(cell.curve.get(name, ()), start=1):
            if point is not None:
                yield f"epoch/{name}", point, epoch


def _storable(text: str) -> str:
    """A text that every database takes: PostgreSQL refuses NUL, and UTF-8 half a character."""
    text = without_secrets(text).replace("\0", "\N{REPLACEMENT CHARACTER}")
    return text.encode("utf-8", "replace").decode("utf-8")
