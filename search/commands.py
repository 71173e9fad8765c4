"""What the commands of `triptych` do, one function a command."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from msa_core.config_paths import Value
from msa_core.data.dataset import Dataset
from msa_core.data.load import load_dataset
from msa_core.plugins import kinds_added_by
from search.explain import packing_lines
from search.folder import PLAN, ledger_results, read_manifest, select_cells
from search.ledger import is_locked, read_ledger
from search.progress import Progress, failure_line, say
from search.provenance import versions
from search.run import RunOptions, manifest_of, run_study
from spaces.domains import describe
from spaces.errors import StudyError
from spaces.plan import TUNE, Plan, Versions, p_floor, plan_study
from spaces.study import SHIPPED, Study, find_study, load_study

STARTER = "planted-quick"
RUNS = "runs"
MOST_OF_A_REASON = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenedStudy:
    """A study with its data and its place.

    Attributes:
        dataset: None if the study names no data and none was given.
    """

    study: Study
    plan: Plan
    dataset: Dataset | None
    folder: Path


def open_study(
    name: str, data: Path | None, overrides: Sequence[str], workdir: Path, *, need_data: bool
) -> OpenedStudy:
    """Read a study and its data and lay out the plan.

    Raises:
        StudyError, DataError: anything wrong in either.
    """
    study = load_study(find_study(name), overrides)
    source = data or study.data.file or study.data.planted
    if source is None and need_data:
        raise StudyError(f"{study.place}: the study names no data; give a file with --data FILE")
    folder = workdir / RUNS / study.name
    if source is None:
        plan = plan_study(study, Versions(data="", code=""))
        return OpenedStudy(study=study, plan=plan, dataset=None, folder=folder)
    dataset = load_dataset(source, study.data.scheme, study.data.text_model)
    annotated = tuple(dataset.splits.train.unimodal_labels)
    plan = plan_study(study, versions(dataset), dataset.modalities, annotated)
    return OpenedStudy(study=study, plan=plan, dataset=dataset, folder=folder)


def write_starter(file: Path) -> None:
    """Copy the starter study to a new file.

    Raises:
        StudyError: the file is there already, or its folder is not.
    """
    text = (SHIPPED / f"{STARTER}.yaml").read_text(encoding="utf-8")
    try:
        with file.open("x", encoding="utf-8") as new:
            new.write(text.replace(f"study: {STARTER}", f"study: {file.stem}"))
    except FileExistsError:
        raise StudyError(f"{file} is there already; name another file") from None
    except OSError as error:
        raise StudyError(f"{file}: cannot be written: {error.strerror}") from None


def show_plan(opened: OpenedStudy) -> None:
    """Print what would run: arms, searched fields, cells, what is done, what to reconsider."""
    console = Console()
    plan, study = opened.plan, opened.study
    _heading(console, study)
    table = RichTable(box=None, pad_edge=False)
    for heading in ("arm", "changes", "searched", "tuning cells", "confirm cells"):
        table.add_column(heading, justify="right" if heading.endswith("cells") else "left")
    for arm in plan.arms:
        changes = "\n".join(f"{name} = {_written(value)}" for name, value in arm.changes.items())
        table.add_row(
            Text(arm.name + (" (baseline)" if arm.name == study.baseline else "")),
            Text(changes or "-"),
            f"{len(arm.space)} fields" if arm.space else "nothing",
            str(plan.tuning_cells(arm)),
            str(len(plan.confirm_seeds)),
        )
    console.print(table)
    if study.search:
        console.print("\nsearched:")
        for name, domain in study.search.items():
            console.print(f"  {name}: {describe(domain)}", markup=False, highlight=False)
    say(console, f"\n{_budget_sentence(plan)}")
    for plugin in study.plugins:
        added = ", ".join(f"{family} '{kind}'" for family, kind in kinds_added_by(plugin))
        say(console, f"plugin {plugin.name}: {added}")
    for line in packing_lines(plan):
        say(console, line)
    for note in plan.notes:
        say(console, f"note: {note}")
    for warning in plan.warnings:
        say(console, f"warning: {warning}")
    if opened.dataset is None:
        say(console, "The study names no data: run it with --data FILE.")
        return
    done = _finished_cells(opened)
    say(console, f"{done} of {plan.cells()} cells are in the ledger of {opened.folder}.")


def run_and_report(opened: OpenedStudy, options: RunOptions) -> bool:
    """Run a study and write its report; returns whether every cell of it is complete."""
    assert opened.dataset is not None
    console = Console()
    progress = Progress(console)
    plan, folder = opened.plan, opened.folder
    _heading(console, opened.study)
    say(console, _budget_sentence(plan))
    for line in (*(f"note: {note}" for note in plan.notes),
                 *(f"warning: {warning}" for warning in plan.warnings)):  # fmt: skip
        say(console, line)
    summary = run_study(plan, opened.dataset, folder, options, progress)
    trained = f"{summary.trained} cells trained" if summary.trained else "nothing left to train"
    say(console, f"{trained}; {summary.cells} in {folder}")
    if summary.tracking_failure is not None:
        say(
            console,
            "warning: MLflow is behind the ledger; nothing is lost, the same command brings it "
            f"up to date ({str(summary.tracking_failure)[:MOST_OF_A_REASON]})",
        )
    from search.reporting import report_on

    report_on(ledger_results(folder), folder, console)
    if summary.failed or summary.untested:
        say(
            console,
            f"{summary.failed} cells failed; the report and `triptych status` say why, "
            "and --retry-failed trains them again",
        )
    return not (summary.failed or summary.untested)


def show_status(name: str | None, workdir: Path) -> None:
    """Print how far one study is, or every study of a work folder.

    Raises:
        ResultsError: no results there.
    """
    console = Console()
    folders = (
        [_results_folder(name, workdir)]
        if name
        else sorted(path.parent for path in (workdir / RUNS).glob(f"*/{PLAN}"))
    )
    if not folders:
        say(console, f"no study has been run in {workdir / RUNS}")
    for folder in folders:
        _show_folder(console, folder)


def write_study_report(name: str, workdir: Path, source: str, tracking_uri: str | None) -> None:
    """Write a study's report again, from its ledger or from MLflow alone.

    Raises:
        ResultsError: no results there.
    """
    from reports.mlflow_source import read_mlflow
    from search.reporting import report_on

    folder = _results_folder(name, workdir)
    if source == "ledger":
        results = ledger_results(folder)
    elif tracking_uri:
        results = read_mlflow(tracking_uri, folder.name)
    else:
        manifest = read_manifest(folder)
        results = read_mlflow(manifest.tracking_uri, manifest.facts.study, plan=manifest.digest)
    report_on(results, folder, Console())


def _results_folder(name: str, workdir: Path) -> Path:
    """The folder of a study that was run, by its name, its file or the folder itself."""
    path = Path(name)
    if (path / PLAN).exists() or path.is_dir():
        return path
    if (workdir / RUNS / name / PLAN).exists():
        return workdir / RUNS / name
    return workdir / RUNS / load_study(find_study(name)).name


def _show_folder(console: Console, folder: Path) -> None:
    manifest = read_manifest(folder)
    facts = manifest.facts
    cells = select_cells(manifest, read_ledger(folder))
    state = "running" if is_locked(folder) else "not running"
    say(console, f"{facts.study} ({folder}), {state}")
    table = RichTable(box=None, pad_edge=False)
    for heading in ("arm", "tuning cells", "confirm cells", "failed"):
        table.add_column(heading, justify="left" if heading == "arm" else "right")
    for arm in facts.arms:
        own = [cell for cell in cells if cell.arm == arm]
        tuning = sum(cell.phase == TUNE for cell in own)
        wanted = facts.candidates * len(facts.tune_seeds) if facts.searched[arm] else 0
        table.add_row(
            Text(arm),
            f"{tuning}/{wanted}",
            f"{len(own) - tuning}/{len(facts.confirm_seeds)}",
            str(sum(cell.status == "failed" for cell in own)),
        )
    console.print(table)
    for cell in cells:
        if cell.status == "failed":
            say(console, failure_line(cell))


def _finished_cells(opened: OpenedStudy) -> int:
    assert opened.dataset is not None
    manifest = manifest_of(opened.plan, opened.dataset, tracking_uri="")
    return len(select_cells(manifest, read_ledger(opened.folder)))


def _heading(console: Console, study: Study) -> None:
    console.print(Text(study.name, style="bold"), Text(study.question, style="italic"))


def _budget_sentence(plan: Plan) -> str:
    budget = plan.study.budget
    seeds = len(plan.confirm_seeds)
    return (
        f"{plan.cells()} cells: {len(plan.arms)} arms, {budget.candidates} candidates on "
        f"{len(plan.tune_seeds)} seeds each where something is searched, then {seeds} fresh "
        f"seeds; smallest possible p {p_floor(seeds):.2g}"
    )


def _written(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
