"""A results folder: what a study left behind, and the results table made from it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from msa_core.plugins import Plugin
from reports.encoding import (
    cells_from_rows,
    code_notes,
    curve_of,
    decode_floats,
    encode_floats,
    facts_from_json,
    facts_to_json,
    tags_from_plain,
    tags_to_plain,
)
from reports.results import DESCRIPTIONS, METRIC, PARAM, Results, ResultsError, StudyFacts
from search.atomic_files import write_whole
from search.ledger.ledger import read_chosen
from search.ledger.record import CellRecord
from search.redaction import first_of, last_of, without_password
from search.results.selection import ArmCells, Objective, paid_candidates, planned_cells
from search.results.shared_information import read_information
from search.results.unblinding_log import PlanSize, opening_sentences
from spaces.plan.plan import CONFIRM
from spaces.plan.planned_arms import Versions
from spaces.study_file.load import Study, find_study, load_study
from spaces.study_file.writing import write_study

PLAN = "plan.json"
TEST = "test."  # metrics that stay sealed until the study is finished
PLUGINS = "plugins"
STUDY = "study.yaml"
REPORT = "report"
JOURNAL = "optuna.journal"
RUNS = "runs"


def results_folder(name: str, workdir: Path) -> Path:
    """The folder of a study that was run, by its name, its file or the folder itself."""
    path = Path(name)
    if (path / PLAN).exists() or path.is_dir():
        return path
    if (workdir / RUNS / name / PLAN).exists():
        return workdir / RUNS / name
    return workdir / RUNS / load_study(find_study(name)).on_sets()[0].name


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """The plan as the folder remembers it, so that a report needs no study file.

    Attributes:
        facts: what a report needs to know.
        arm_keys: arm -> key of its cells in the ledger.
        test_labels: float32 [N].
        tracking_uri: where MLflow was told to keep the runs.
        versions: of the data and the training core that the arms' keys hold.
        tags: dimension -> tag of every test utterance.
        finished: a run came to the end of this plan. Arms then may have fewer candidates than
            planned: a space can have fewer, and device-seconds pay for as many as they do.
    """

    facts: StudyFacts
    arm_keys: Mapping[str, str]
    test_labels: NDArray[np.float32]
    tracking_uri: str
    versions: Versions
    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    finished: bool = False

    @property
    def size(self) -> PlanSize:
        """How much the plan makes of its arms."""
        return PlanSize(
            plan=self.digest,
            arm_keys=tuple(sorted(set(self.arm_keys.values()))),
            confirm_seeds=len(self.facts.confirm_seeds),
            candidates=self.facts.candidates,
            device_seconds=self.facts.device_seconds,
        )

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
        "finished": manifest.finished,
        "tags": tags_to_plain(manifest.tags),
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
            tags=tags_from_plain(content.get("tags", {})),
            finished=content.get("finished", True),  # of before it was said
        )
    except FileNotFoundError:
        raise ResultsError(
            f"{folder} holds no results; run the study first, or say where they are with --workdir"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ResultsError(
            f"{path} is damaged ({error}); `triptych run` of the same study writes it again"
        ) from None


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """How far a plan is.

    Attributes:
        cells: of the plan, arm by arm; the ledger may hold more (see `planned_cells`).
        complete: whether every planned cell is there, failed or not.
        confirm_done, confirm_planned: confirm cells that are there, and that the plan has.
    """

    cells: list[CellRecord]
    complete: bool
    confirm_done: int
    confirm_planned: int


def standing_of(manifest: Manifest, records: Mapping[str, CellRecord]) -> Standing:
    """How far a plan is, as a ledger's records have it."""
    facts = manifest.facts
    by_arm: dict[str, list[CellRecord]] = {}
    for record in records.values():
        by_arm.setdefault(record.arm_key, []).append(record)
    cells = {arm: ArmCells(key, by_arm.get(key, ())) for arm, key in manifest.arm_keys.items()}
    tried = {arm: tried_candidates(facts, arm, cells[arm]) for arm in facts.arms}
    objective = Objective.of(facts.primary, facts.second_metric, facts.margins)
    selected: list[CellRecord] = []
    tuned, untested = {}, {}  # arm -> whether it is tuned; and how many confirm cells it lacks
    for arm in facts.arms:
        reference = facts.frozen.get(arm, arm)
        best = (
            objective.best(cells[reference], tried[reference], facts.tune_seeds)
            if facts.searched[reference]
            else 0
        )
        own = planned_cells(
            cells[arm],
            candidates=tried[arm],
            tune_seeds=facts.tune_seeds,
            confirm_seeds=facts.confirm_seeds,
            best=best,
        )
        selected += own
        confirmed = sum(cell.phase == CONFIRM for cell in own)
        tuned[arm] = _is_tuned(manifest, arm, len(own) - confirmed, bool(cells[arm].tuning()))
        # Where no candidate was trained to its end, there is nothing to confirm.
        untested[arm] = 0 if best is None else len(facts.confirm_seeds) - confirmed
    return Standing(
        cells=selected,
        complete=all(
            tuned[arm] and tuned[facts.frozen.get(arm, arm)] and not untested[arm]
            for arm in facts.arms
        ),
        confirm_done=sum(cell.phase == CONFIRM for cell in selected),
        confirm_planned=len(facts.arms) * len(facts.confirm_seeds),
    )


def _is_tuned(manifest: Manifest, arm: str, tuning_cells: int, begun: bool) -> bool:
    """Whether no tuning cell of an arm is left to train.

    Args:
        manifest: of the plan.
        arm: of it.
        tuning_cells: of the plan that are there.
        begun: whether there is any, of the plan or beyond it.
    """
    facts = manifest.facts
    if not facts.searched[arm]:
        return True
    if manifest.finished:
        return begun
    planned = facts.candidates * len(facts.tune_seeds)
    return facts.device_seconds is None and tuning_cells == planned


def select_cells(manifest: Manifest, records: Mapping[str, CellRecord]) -> list[CellRecord]:
    """The cells of the plan, arm by arm; the ledger may hold more (see `planned_cells`)."""
    return standing_of(manifest, records).cells


def tried_candidates(facts: StudyFacts, arm: str, cells: ArmCells) -> int:
    """How many candidates an arm of the plan has, as far as is known."""
    if not facts.searched[arm]:
        return 0
    if facts.device_seconds is not None:
        return paid_candidates(cells, facts.tune_seeds, facts.device_seconds)
    return facts.candidates


def ledger_results(folder: Path, unseal: bool = False) -> Results:
    """The results of a folder, from its ledger.

    Args:
        folder: of the results.
        unseal: give the test metrics of an unfinished study too. Whoever shows them writes that
            down before (`search.results.unblinding_log.open_early`).

    Raises:
        ResultsError: no results folder.
        LedgerError: a damaged ledger.
    """
    manifest = read_manifest(folder)
    found: list[Standing] = []

    def choose(records: Mapping[str, CellRecord]) -> list[CellRecord]:
        found.append(standing_of(manifest, records))
        return found[0].cells

    primary = f"valid.{manifest.facts.primary}"
    whole = [
        (cell.curve.get(primary, ()), cell.predictions)
        for cell in read_chosen(folder, choose, [primary])
    ]
    standing, cells = found[0], found[0].cells
    sealed = not (standing.complete or unseal)
    tested = [cell.phase == CONFIRM and cell.status == "complete" for cell in cells]
    curves = {
        cell.key: curve
        for cell, (values, _) in zip(cells, whole, strict=True)
        if len(curve := curve_of(values))
    }
    notes = code_notes(cell.code for cell in cells)
    return Results(
        facts=replace(manifest.facts, notes=(*manifest.facts.notes, *notes)),
        cells=cells_from_rows([_row(cell, sealed) for cell in cells]),
        predictions={}
        if sealed
        else {
            cell.key: decode_floats(predictions)
            for cell, is_tested, (_, predictions) in zip(cells, tested, whole, strict=True)
            if is_tested and predictions
        },
        labels=manifest.test_labels if any(tested) and not sealed else None,
        reasons={cell.key: first_of(cell.reason) for cell in cells if cell.reason},
        kinds={cell.key: cell.kind for cell in cells if cell.kind},
        logs={cell.key: last_of(cell.log) for cell in cells if cell.log},
        curves=curves,
        tags=manifest.tags,
        information=read_information(folder, manifest.versions.data),
        sealed=sealed,
        planned_confirm=standing.confirm_planned,
        openings=opening_sentences(folder, manifest.size),
    )


def without_test(metrics: Mapping[str, float]) -> dict[str, float]:
    """Metrics of a cell as long as they are sealed."""
    return {name: value for name, value in metrics.items() if not name.startswith(TEST)}


def _row(cell: CellRecord, sealed: bool) -> dict[str, Any]:
    metrics = without_test(cell.metrics) if sealed else cell.metrics
    return {
        "key": cell.key,
        "arm": cell.arm,
        "phase": cell.phase,
        "candidate": cell.candidate,
        "seed": cell.seed,
        "status": cell.status,
        "epochs": cell.epochs,
        **{f"{METRIC}{name}": value for name, value in metrics.items()},
        **{f"{PARAM}{name}": value for name, value in cell.config.items()},
    }
