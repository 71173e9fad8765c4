"""A results folder: the plan that it keeps, and the results table made from its ledger."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.encoding import (
    cells_from_rows,
    code_notes,
    decode_floats,
    decode_labels,
    encode_curve,
    encode_labels,
    facts_from_json,
    facts_to_json,
    tags_from_plain,
    tags_to_plain,
)
from reports.results import DESCRIPTIONS, METRIC, PARAM, Results, ResultsError, StudyFacts
from search.atomic_files import write_text_atomically
from search.ledger.ledger import read_chosen_records
from search.ledger.record import CellRecord
from search.redaction import shorten_log, shorten_reason, without_password
from search.results.layout import CODE, PLAN, PLUGINS, RUNS, STUDY
from search.results.origins import Origins, write_origins
from search.results.selection import ArmCells, Objective, paid_candidates, planned_cells
from search.results.shared_information import read_information
from search.results.tasks import task_of
from search.results.unblinding_log import PlanSize, unblinding_sentences
from spaces.core import Core, Status
from spaces.find_core import is_code_file
from spaces.plan.arms_on_data import Versions
from spaces.plan.plan import Phase
from spaces.study_file.load import Study, find_study, load_study
from spaces.study_file.writing import write_study

TEST = "test."  # beginning of the names of metrics that are sealed until the study is finished


def results_folder(name: str, workdir: Path) -> Path:
    """Find the folder of a study that was run, by its name, its file or the folder itself."""
    # Folders first: they can be reported on where the study file is gone or has become invalid.
    path = Path(name)
    if (path / PLAN).exists() or path.is_dir():
        return path
    if (workdir / RUNS / name / PLAN).exists():
        return workdir / RUNS / name
    return workdir / RUNS / load_study(find_study(name)).on_sets()[0].name


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """The plan as the folder keeps it, so that a report needs no study file.

    Attributes:
        facts: Facts of the plan for a report.
        arm_keys: Arm -> key of its cells in the ledger.
        test_labels: Labels of the test examples, float32 [N] or [N, K].
        tracking_uri: MLflow server or database of the study's runs.
        versions: Versions of the data and the training core that the arms' keys hold.
        tags: Dimension -> tag of every test utterance.
        finished: Whether a run came to the end of this plan. Arms then may have fewer candidates
            than planned: a space can have fewer, and device-seconds pay for as many as they do.
        origins: What the arms' keys are made of; empty where it was read from a folder, whose file
            of its own `search.results.origins.read_origins` reads.
    """

    facts: StudyFacts
    arm_keys: Mapping[str, str]
    test_labels: NDArray[np.float32]
    tracking_uri: str
    versions: Versions
    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    finished: bool = False
    origins: Origins = field(default_factory=Origins, compare=False)

    @property
    def size(self) -> PlanSize:
        """Seeds and budget of the plan, for the unblinding log."""
        return PlanSize(
            plan=self.digest,
            arm_keys=tuple(sorted(set(self.arm_keys.values()))),
            confirm_seeds=len(self.facts.confirm_seeds),
            candidates=self.facts.candidates,
            device_seconds=self.facts.device_seconds,
        )

    @property
    def digest(self) -> str:
        """Identity of the plan: its arms, cells and metric, without mere descriptions."""
        # A corrected question or label must not look like another plan, for which the unblinding
        # log gets an entry.
        facts = json.loads(facts_to_json(self.facts))
        decides = {name: facts[name] for name in facts if name not in DESCRIPTIONS}
        text = json.dumps([decides, dict(self.arm_keys)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `plan.json`, and `origins.json` for the explanations, by atomic writes."""
    # By keys, so that it may be written first: a plan never stands without its origins.
    if manifest.origins.values:
        write_origins(folder, manifest.origins)
    write_text_atomically(folder / PLAN, manifest_text(manifest))


def manifest_text(manifest: Manifest) -> str:
    """Return the content of `plan.json`."""
    content = {
        "facts": json.loads(facts_to_json(manifest.facts)),
        "arm_keys": dict(manifest.arm_keys),
        "test_labels": encode_labels(manifest.test_labels),
        "tracking_uri": without_password(manifest.tracking_uri),
        "versions": asdict(manifest.versions),
        "finished": manifest.finished,
        "tags": tags_to_plain(manifest.tags),
    }
    return json.dumps(content, indent=1)


def keep_files(folder: Path, core: Core) -> None:
    """Keep the user's own files of a core beside the results, by digest; earlier ones stay.

    A report needs none of them: they are for making the numbers again.
    """
    for file, kept in zip(core.plugins, kept_files(core), strict=True):
        if not (folder / kept).exists():
            (folder / kept).parent.mkdir(parents=True, exist_ok=True)
            write_text_atomically(folder / kept, file.text)


def keep_study(folder: Path, study: Study) -> None:
    """Keep the study as it was read, every arm written out, beside its results."""
    write_text_atomically(folder / STUDY, study_text(study))


def study_text(study: Study) -> str:
    """Return the content of `study.yaml` in a results folder."""
    return write_study(study, [path.as_posix() for path in kept_files(study.core)])


def kept_files(core: Core) -> list[Path]:
    """Return where each of a core's own files is kept, from the results folder on."""
    if not is_code_file(core.name):
        return [
            Path(PLUGINS) / f"{Path(plugin.name).stem}.{plugin.digest}.py"
            for plugin in core.plugins
        ]
    # Together, since they import one another by their names.
    digest = hashlib.sha256("".join(file.digest for file in core.plugins).encode()).hexdigest()
    return [Path(CODE) / digest[:16] / file.name for file in core.plugins]


def read_manifest(folder: Path) -> Manifest:
    """Read `plan.json`.

    Raises:
        ResultsError: No results folder, or a damaged one.
    """
    path = folder / PLAN
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Manifest(
            facts=facts_from_json(json.dumps(content["facts"])),
            arm_keys=content["arm_keys"],
            test_labels=decode_labels(content["test_labels"]),
            tracking_uri=content["tracking_uri"],
            versions=Versions(**content["versions"]),
            tags=tags_from_plain(content.get("tags", {})),
            finished=content.get("finished", True),  # older versions did not write it
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
class PlanCompletion:
    """How far a plan is.

    Attributes:
        cells: Finished cells of the plan, arm by arm; the ledger may hold more (see
            `planned_cells`).
        complete: Whether every planned cell is there, failed or not.
        confirm_done, confirm_planned: Number of confirm cells that are there, and of all in the
            plan.
    """

    cells: list[CellRecord]
    complete: bool
    confirm_done: int
    confirm_planned: int


def measure_completion(manifest: Manifest, records: Mapping[str, CellRecord]) -> PlanCompletion:
    """Measure how far a plan is, by a ledger's records."""
    facts = manifest.facts
    by_arm: dict[str, list[CellRecord]] = {}
    for record in records.values():
        by_arm.setdefault(record.arm_key, []).append(record)
    cells = {arm: ArmCells(key, by_arm.get(key, ())) for arm, key in manifest.arm_keys.items()}
    tried = {arm: tried_candidates(facts, arm, cells[arm]) for arm in facts.arms}
    objective = Objective.from_metrics(
        task_of(facts), facts.primary, facts.second_metric, facts.margins
    )
    selected: list[CellRecord] = []
    tuned, untested = {}, {}  # arm -> whether it is tuned; arm -> confirm cells that it lacks
    for arm in facts.arms:
        reference = facts.frozen.get(arm, arm)
        best = (
            objective.best_candidate(cells[reference], tried[reference], facts.tune_seeds)
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
        confirmed = sum(cell.phase == Phase.CONFIRM for cell in own)
        # `cells` and not `own`: device-seconds may pay for none of the candidates that were tried.
        tuned[arm] = _is_tuned(manifest, arm, len(own) - confirmed, bool(cells[arm].tuning_cells()))
        # Where no candidate was trained to its end, there is nothing to confirm.
        untested[arm] = 0 if best is None else len(facts.confirm_seeds) - confirmed
    return PlanCompletion(
        cells=selected,
        complete=all(
            tuned[arm] and tuned[facts.frozen.get(arm, arm)] and not untested[arm]
            for arm in facts.arms
        ),
        confirm_done=sum(cell.phase == Phase.CONFIRM for cell in selected),
        confirm_planned=len(facts.arms) * len(facts.confirm_seeds),
    )


def _is_tuned(manifest: Manifest, arm: str, tuning_cells: int, begun: bool) -> bool:
    """Check whether no tuning cell of an arm is left to train.

    Args:
        manifest: Manifest of the plan.
        arm: Name of an arm in it.
        tuning_cells: Number of the plan's tuning cells that are there.
        begun: Whether there is any tuning cell, of the plan or beyond it.
    """
    facts = manifest.facts
    if not facts.searched[arm]:
        return True
    # Of a finished plan the number of candidates is no guide: a small space has fewer.
    if manifest.finished:
        return begun
    planned = facts.candidates * len(facts.tune_seeds)
    return facts.device_seconds is None and tuning_cells == planned


def select_cells(manifest: Manifest, records: Mapping[str, CellRecord]) -> list[CellRecord]:
    """Return the cells of the plan, arm by arm; the ledger may hold more (see `planned_cells`)."""
    return measure_completion(manifest, records).cells


def tried_candidates(facts: StudyFacts, arm: str, cells: ArmCells) -> int:
    """Count the candidates that an arm of the plan has, as far as is known."""
    if not facts.searched[arm]:
        return 0
    if facts.device_seconds is not None:
        return paid_candidates(cells, facts.tune_seeds, facts.device_seconds)
    return facts.candidates


def ledger_results(folder: Path, unseal: bool = False) -> Results:
    """Make the results of a folder from its ledger.

    Args:
        folder: Results folder.
        unseal: Whether the test metrics of an unfinished study are in them too. The caller logs
            that first (`search.results.unblinding_log.record_early_unblinding`).

    Raises:
        ResultsError: No results folder.
        LedgerError: A damaged ledger.
    """
    manifest = read_manifest(folder)
    # The ledger calls `choose_cells` once it knows every record's light part, and then reads
    # predictions and curves of the chosen cells alone: they are most of its bytes.
    found: list[PlanCompletion] = []

    def choose_cells(records: Mapping[str, CellRecord]) -> list[CellRecord]:
        found.append(measure_completion(manifest, records))
        return found[0].cells

    primary = f"valid.{manifest.facts.primary}"
    whole = [
        (cell.curve.get(primary, ()), cell.predictions)
        for cell in read_chosen_records(folder, choose_cells, [primary])
    ]
    completion, cells = found[0], found[0].cells
    sealed = not (completion.complete or unseal)
    tested = [cell.phase == Phase.CONFIRM and cell.status == Status.COMPLETE for cell in cells]
    curves = {
        cell.key: curve
        for cell, (values, _) in zip(cells, whole, strict=True)
        if len(curve := encode_curve(values))
    }
    notes = code_notes((cell.arm, cell.code) for cell in cells)
    return Results(
        facts=replace(manifest.facts, notes=(*manifest.facts.notes, *notes)),
        cells=cells_from_rows([_results_row(cell, sealed) for cell in cells]),
        predictions={}
        if sealed
        else {
            cell.key: decode_floats(predictions)
            for cell, is_tested, (_, predictions) in zip(cells, tested, whole, strict=True)
            if is_tested and predictions
        },
        labels=manifest.test_labels if any(tested) and not sealed else None,
        reasons={cell.key: shorten_reason(cell.reason) for cell in cells if cell.reason},
        kinds={cell.key: cell.kind for cell in cells if cell.kind},
        logs={cell.key: shorten_log(cell.log) for cell in cells if cell.log},
        curves=curves,
        tags=manifest.tags,
        information=read_information(folder, manifest.versions.data),
        embargoed=sealed,
        planned_confirm=completion.confirm_planned,
        unblindings=unblinding_sentences(folder, manifest.size),
    )


def without_test(metrics: Mapping[str, float]) -> dict[str, float]:
    """Leave the test metrics out of a cell's metrics."""
    return {name: value for name, value in metrics.items() if not name.startswith(TEST)}


def _results_row(cell: CellRecord, sealed: bool) -> dict[str, Any]:
    metrics = without_test(cell.metrics) if sealed else cell.metrics
    return {
        "key": cell.key,
        "arm": cell.arm,
        "phase": str(cell.phase),
        "candidate": cell.candidate,
        "seed": cell.seed,
        "status": str(cell.status),
        "epochs": cell.epochs,
        **{f"{METRIC}{name}": value for name, value in metrics.items()},
        **{f"{PARAM}{name}": value for name, value in cell.config.items()},
    }
