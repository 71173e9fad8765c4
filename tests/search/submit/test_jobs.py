"""What travels to a cluster with a study, and the words in which it is asked for there."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from search.cli import main
from search.commands.shared import AUTO_SHARE, GpuShare
from search.commands.submit import repeat_options
from search.errors import RunError
from search.submit import staging
from search.submit.jobs import _head_command, _package_environment
from search.submit.staging import stage_study
from spaces.errors import StudyError
from spaces.study_file.load import load_study
from tests.cases.paths import DOCS

PAGE = DOCS / "plugins.md"
SOFT_MAX = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE.read_text(), re.DOTALL))[
    "soft_max.py"
]
STUDY = """\
study: own
data: {planted: {train: 64, valid: 32, test: 32, steps: 3, width: 6}}
plugins: [modules/soft_max.py]
search:
  model.fusion.soft_max.sharpness: {log_uniform: [0.5, 8]}
arms:
  - explicit:
      full: {}
      soft: {model.fusion.kind: soft_max}
budget: {candidates: 2, tune_seeds: 2, confirm_seeds: 2}
"""
DATA = "  planted: {train: 96, valid: 64, test: 64, steps: 3, width: 6}\n"


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """Where a job starts."""
    folder = tmp_path / "staged"
    folder.mkdir()
    return folder


def test_a_study_on_generated_data_travels_alone(
    write_study: Callable[[str], Path], small_study_text: str, empty: Path
) -> None:
    path = write_study(small_study_text)
    staged = stage_study(str(path), empty, overrides=["budget.candidates=2"])
    assert staged.arguments == ("study.yaml", "--set", "budget.candidates=2")
    assert [file.name for file in empty.iterdir()] == ["study.yaml"]
    assert load_study(empty / "study.yaml").name == staged.study.name == "small"


def test_feature_files_travel_or_are_there(
    write_study: Callable[[str], Path], small_study_text: str, empty: Path, tmp_path: Path
) -> None:
    features = tmp_path / "mosi.pkl"
    features.write_bytes(b"features")
    path = write_study(small_study_text.replace(DATA, "  file: mosi.pkl\n"))
    assert stage_study(str(path), empty).arguments == ("study.yaml", "--data", "data/mosi.pkl")
    assert (empty / "data" / "mosi.pkl").read_bytes() == b"features"
    there = stage_study(str(path), empty, data_there=["/mnt/mosi.pkl"])
    assert there.arguments == ("study.yaml", "--data", "/mnt/mosi.pkl")


def test_files_of_several_data_sets_keep_their_names(
    write_study: Callable[[str], Path], small_study_text: str, empty: Path, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "data.pkl").write_text(name)
    sets = "  sets: {one: one/data.pkl, two: two/data.pkl}\n"
    path = write_study(small_study_text.replace(DATA, sets))
    staged = stage_study(str(path), empty, data_there=["two=/mnt/two.pkl"])
    assert staged.arguments[1:] == ("--data", "one=data/one/data.pkl", "--data", "two=/mnt/two.pkl")
    assert (empty / "data" / "one" / "data.pkl").read_text() == "one"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"data": ["nowhere.pkl"]}, RunError, "no such file here.*--data-there FILE"),
        ({"data": ["big.pkl"]}, RunError, "do not travel with a study.*--data-there"),
        ({"data": ["big.pkl"], "data_there": ["/x.pkl"]}, StudyError, "give one of them"),
        ({"data_there": ["/x.pkl", "/y.pkl"]}, StudyError, "has one data set"),
        ({"overrides": ["budget.candidate=2"]}, StudyError, "candidates"),
    ],
)
def test_what_cannot_travel_is_refused_with_the_way_out(
    write_study: Callable[[str], Path],
    small_study_text: str,
    empty: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: dict[str, list[str]],
    error: type[Exception],
    message: str,
) -> None:
    path = write_study(small_study_text)
    monkeypatch.chdir(path.parent)
    monkeypatch.setattr(staging, "MOST_BYTES", 2)
    Path("big.pkl").write_text("big")
    with pytest.raises(error, match=message):
        stage_study(str(path), empty, **arguments)  # type: ignore[arg-type]


def test_modules_of_the_users_own_travel_as_they_were_read(empty: Path, tmp_path: Path) -> None:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "soft_max.py").write_text(SOFT_MAX, encoding="utf-8")
    (tmp_path / "own.yaml").write_text(STUDY, encoding="utf-8")
    staged = stage_study(str(tmp_path / "own.yaml"), empty)
    assert staged.arguments == ("study.yaml", "--set", "plugins=[plugins/soft_max.py]")
    there = load_study(empty / "study.yaml", [staged.arguments[-1]])
    assert there == staged.study
    assert there.plugins == staged.study.plugins != ()


def test_a_study_without_data_needs_some(
    write_study: Callable[[str], Path], small_study_text: str, empty: Path
) -> None:
    path = write_study(small_study_text.replace(DATA, "  labels: mosi\n"))
    with pytest.raises(StudyError, match=r"names no data.*--data-there"):
        stage_study(str(path), empty)


def test_the_command_is_one_word_an_argument_whatever_is_in_it() -> None:
    command = _head_command("run", "study.yaml", "--set", "a=b; rm -rf /", workdir="~/my runs")
    assert shlex.split(command) == [
        "exec", "python", "-P", "-m", "triptych", "run", "study.yaml", "--set", "a=b; rm -rf /",
        "--workdir", "~/my runs",
    ]  # fmt: skip
    assert command.endswith("~/'my runs'")  # the head's home, not a folder of that name
    assert _head_command("status", workdir="/x y").endswith("--workdir '/x y'")


def test_every_package_travels_with_what_is_in_it() -> None:
    folders = {Path(folder).name: Path(folder) for folder in _package_environment()["py_modules"]}
    assert folders.keys() == {"triptych", "msa_core", "spaces", "search", "reports"}
    assert (folders["spaces"] / "studies" / "planted-quick.yaml").exists()
    assert (folders["reports"] / "page" / "templates" / "page.html.j2").exists()


@pytest.mark.parametrize(
    ("text", "share"), [("auto", None), ("0", 0.0), ("0.25", 0.25), ("2", 2.0)]
)
def test_a_share_of_a_gpu_is_read(text: str, share: float | None) -> None:
    assert GpuShare().convert(text, None, None) == share


@pytest.mark.parametrize("text", ["-1", "some", "inf", "nan", "1.5"])
def test_no_share_of_a_gpu_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        GpuShare().convert(text, None, None)


def test_what_a_user_said_is_said_again_and_nothing_else() -> None:
    again: list[str] = []

    @click.command()
    @click.option("--workers", type=int)
    @click.option("--gpus-a-worker", type=GpuShare())
    @click.option("--minutes", default=3.0)
    @click.option("--keep", is_flag=True)
    @click.option("--probe/--no-probe", default=None)
    @click.option("--name", multiple=True)
    @click.pass_context
    def command(context: click.Context, /, **options: object) -> None:
        again.extend(repeat_options(context, context.command.params))

    given = [
        "--workers", "2", "--gpus-a-worker", AUTO_SHARE, "--keep", "--no-probe",
        "--name", "a", "--name", "b",
    ]  # fmt: skip
    assert CliRunner().invoke(command, given).exit_code == 0
    assert again == given


@pytest.mark.parametrize("command", [["submit", "planted-quick"], ["status"]])
def test_an_address_that_is_no_job_server_is_refused(command: list[str]) -> None:
    result = CliRunner().invoke(main, [*command, "--address", "10.0.0.1:6379"])
    assert result.exit_code == 2
    assert "needs the http address" in result.output


def test_nobody_at_the_address_is_said() -> None:
    address = ["--address", "http://127.0.0.1:9"]
    result = CliRunner().invoke(main, ["submit", "planted-quick", *address])
    assert result.exit_code == 2
    assert "no job server answers at http://127.0.0.1:9" in result.output
