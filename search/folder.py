"""A results folder: what a study left behind, and the results table made from it."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from msa_core.plugins import Plugin
from reports.encoding import (
    cells_from_rows,
    code_notes,
    decode_floats,
    encode_floats,
    facts_from_json,
    facts_to_json,
)
from reports.results import DESCRIPTIONS, METRIC, PARAM, Results, ResultsError, StudyFacts
from search.ledger import CellRecord, read_ledger, read_whole
from search.redaction import without_password
from search.selection import ArmCells, Objective, paid_candidates, planned_cells
from search.whole_files import write_whole
from spaces.plan import CONFIRM
from spaces.planned import Versions
from spaces.study import Study
from spaces.writing import write_study

PLAN = "plan.json"
PLUGINS = "plugins"
STUDY = "study.yaml"
REPORT = "report"


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """The plan as the folder remembers it, so that a report needs no study file.

    Attributes:
        facts: what a report needs to know.
        arm_keys: arm -> key of its cells in the ledger.
        test_labels: float32 [N].
        tracking_uri: where MLflow was told to keep the runs.
        versions: of the data and the training core that the arms' keys hold.
    """

    facts: StudyFacts
    arm_keys: Mapping[str, str]
    test_labels: NDArray[np.float32]
    tracking_uri: str
    versions: Versions

    @property
    def digest(self) -> str:
        """Names the plan: which arms, cells and metric. Not what is only said of them."""
        facts = json.loads(facts_to_json(self.facts))
        decides = {name: facts[name] for name in facts if name not in DESCRIPTIONS}
        text = json.dumps([decides, dict(self.arm_keys)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `plan.json`, whole or not at all."""
    write_whole(folder / PLAN, manifest_text(manifest))


def manifest_text(manifest: Manifest) -> str:
    """What `plan.json` holds."""
    content = {
        "facts": json.loads(facts_to_json(manifest.facts)),
        "arm_keys": dict(manifest.arm_keys),
        "test_labels": encode_floats(manifest.test_labels),
        "tracking_uri": without_password(manifest.tracking_uri),
        "versions": asdict(manifest.versions),
    }
    return json.dumps(content, indent=1)


def keep_plugins(folder: Path, plugins: Sequence[Plugin]) -> None:
    """Keep the text of each plugin beside the results, by its digest; earlier ones stay.

    A report needs none of them: they are for a person who wants to make the numbers again.
    """
    for plugin in plugins:
        kept = folder / _kept_plugin(plugin)
        if kept.exists():
            continue
        kept.parent.mkdir(exist_ok=True)
        write_whole(kept, plugin.text)


def keep_study(folder: Path, study: Study) -> None:
    """Keep the study as it was read, every arm written out, beside its results."""
    write_whole(
        folder / STUDY,
        write_study(study, [_kept_plugin(plugin).as_posix() for plugin in study.plugins]),
    )


def _kept_plugin(plugin: Plugin) -> Path:
    return Path(PLUGINS) / f"{Path(plugin.name).stem}.{plugin.digest}.py"


def read_manifest(folder: Path) -> Manifest:
    """Read `plan.json`.

    Raises:
        ResultsError: no results folder, or a damaged one.
    """
    path = folder / PLAN
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Manifest(
            facts=facts_from_json(json.dumps(content["facts"])),
            arm_keys=content["arm_keys"],
            test_labels=decode_floats(content["test_labels"]),
            tracking_uri=content["tracking_uri"],
            versions=Versions(**content["versions"]),
        )
    except FileNotFoundError:
        raise ResultsError(
            f"{folder} holds no results; run the study first, or say where they are with --workdir"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ResultsError(
            f"{path} is damaged ({error}); `triptych run` of the same study writes it again"
        ) from None


def select_cells(manifest: Manifest, records: Mapping[str, CellRecord]) -> list[CellRecord]:
    """The cells of the plan, arm by arm; the ledger may hold more (see `planned_cells`)."""
    facts = manifest.facts
    by_arm: dict[str, list[CellRecord]] = {}
    for record in records.values():
        by_arm.setdefault(record.arm_key, []).append(record)
    cells = {arm: ArmCells(key, by_arm.get(key, ())) for arm, key in manifest.arm_keys.items()}
    tried = {arm: tried_candidates(facts, arm, cells[arm]) for arm in facts.arms}
    objective = Objective.of(facts.primary, facts.second_metric, facts.margins)
    selected = []
    for arm in facts.arms:
        tuned = facts.frozen.get(arm, arm)
        best = (
            objective.best(cells[tuned], tried[tuned], facts.tune_seeds)
            if facts.searched[tuned]
            else 0
        )
        selected += planned_cells(
            cells[arm],
            candidates=tried[arm],
            tune_seeds=facts.tune_seeds,
            confirm_seeds=facts.confirm_seeds,
            best=best,
        )
    return selected


def tried_candidates(facts: StudyFacts, arm: str, cells: ArmCells) -> int:
    """How many candidates an arm of the plan has, as far as is known."""
    if not facts.searched[arm]:
        return 0
    if facts.device_seconds is not None:
        return paid_candidates(cells, facts.tune_seeds, facts.device_seconds)
    return facts.candidates


def ledger_results(folder: Path) -> Results:
    """The results of a folder, from its ledger.

    Raises:
        ResultsError: no results folder.
        LedgerError: a damaged ledger.
    """
    manifest = read_manifest(folder)
    cells = select_cells(manifest, read_ledger(folder))
    notes = code_notes(cell.code for cell in cells)
    return Results(
        facts=replace(manifest.facts, notes=(*manifest.facts.notes, *notes)),
        cells=cells_from_rows([_row(cell) for cell in cells]),
        predictions=_predictions(folder, cells),
        labels=manifest.test_labels,
        reasons={cell.key: cell.reason for cell in cells if cell.reason},
        kinds={cell.key: cell.kind for cell in cells if cell.kind},
        logs={cell.key: cell.log for cell in cells if cell.log},
    )


def _predictions(folder: Path, cells: Iterable[CellRecord]) -> dict[str, NDArray[np.float32]]:
    """The test predictions of the cells that have some."""
    tested = [cell.key for cell in cells if cell.phase == CONFIRM and cell.status == "complete"]
    return {
        cell.key: decode_floats(cell.predictions)
        for cell in read_whole(folder, tested)
        if cell.predictions
    }


def _row(cell: CellRecord) -> dict[str, Any]:
    return {
        "key": cell.key,
        "arm": cell.arm,
        "phase": cell.phase,
        "candidate": cell.candidate,
        "seed": cell.seed,
        "status": cell.status,
        "epochs": cell.epochs,
        **{f"{METRIC}{name}": value for name, value in cell.metrics.items()},
        **{f"{PARAM}{name}": value for name, value in cell.config.items()},
    }
