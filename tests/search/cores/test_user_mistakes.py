"""Everything that a user can get wrong in a training file: one clear line each, where and what."""

import math
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from spaces.core import DataError, Member, SourceFile, Status
from spaces.errors import StudyError
from spaces.fields.declaration import ConfigError
from spaces.fields.paths import default_of
from spaces.study_file.load import load_study
from tests.cases.function_code import core_of, write_code
from tests.cases.paths import REPOSITORY
from tests.cases.studies.whole_runs import wait_for

LOAD = """\
import numpy as np

def load(path=None):
    inputs = np.arange(20.0).reshape(10, 2)
    return {name: (inputs, np.arange(10) % 2) for name in ("train", "valid", "test")}
"""
PREDICT = """\
def predict(model, inputs):
    return inputs[:, 0] / 20
"""
HEAD = LOAD + PREDICT  # 7 lines
STUDY = """\
study: s
core: train.py
task: binary
arms: [{explicit: {base: {}, more: {width: 2}}}]
baseline: base
budget: {candidates: 1, tune_seeds: 2, confirm_seeds: 2}
"""

# What `load_study` refuses: (text, line of the message).
REFUSED = {
    "no train": (HEAD, "train.py: there is no function 'train'; write def train(config, run)"),
    "train is no function": (
        HEAD + "train = 3\n",
        "'train' must be a function, but is of type int",
    ),
    "parameters that can't be told apart": (
        HEAD + "def train(a, b, c): ...\n",
        "train.py:8: which fields does 'a' of train have? write def train(config: Config, run)",
    ),
    "fields that have no names": (
        HEAD + "def train(*, run, **fields): ...\n",
        "train.py:8: train takes *fields, which names no fields",
    ),
    "a field without a default": (
        HEAD + "from dataclasses import dataclass\n@dataclass\nclass Config:\n    width: int\n"
        "def train(config, run): ...\n",
        "train.py:11: field 'width' has no default, and the reference row of the table needs one; "
        "write width: int = 64",
    ),
    "a field that may be None": (
        HEAD + "def train(width: int | None = None, *, run): ...\n",
        "train.py:8: field 'width' can be None, which no table shows",
    ),
    "a field that is a list": (
        HEAD + "def train(widths: list = [1, 2], *, run): ...\n",
        "train.py:8: field 'widths' is of type list; a field is a bool, int, float, str",
    ),
    "a default out of bounds": (
        HEAD + "from typing import Annotated\nfrom annotated_types import Gt\n"
        "def train(width: Annotated[int, Gt(4)] = 3, *, run): ...\n",
        "train.py:10: field 'width' has the default 3, but its above is 4",
    ),
    "a missing package": (
        "import no_such_package\n",
        "train.py:1: ModuleNotFoundError: No module named 'no_such_package'; install it",
    ),
    "a relative import": (
        "from . import layers\n",
        "train.py:1: ImportError: attempted relative import with no known parent package; the "
        "file is in no package",
    ),
    "a syntax error": ("def train(:\n", "train.py:1: SyntaxError: invalid syntax"),
    "an exit at import": ("import sys\nsys.exit(3)\n", "it ends the process when it is imported"),
    "a dead process at import": (
        "import os\nos._exit(3)\n",
        "the process exited with code 3 while it was imported",
    ),
    "nothing that evaluates": (
        LOAD + "def train(width: int = 1, *, run): ...\n",
        "there is no function that says how good a model is; write def predict(model, inputs)",
    ),
    "a number without a direction": (
        "def train(width: int = 1, *, run): ...\ndef evaluate(model, split): ...\n",
        "evaluate needs the direction of each number",
    ),
}
# What `open` refuses: (load, line of the message).
UNUSABLE = {
    "no labels": ("'test': (x, None)", "split 'test' has no labels"),
    "another number of labels": ("'test': (x, y[:3])", "split 'test' has 10 inputs, but 3 labels"),
    "a split too few": ("", "load must return {'train': (inputs, labels), 'valid': ..., 'test'"),
    "labels of another task": ("'test': (x, y + 1)", "binary"),
    "labels that are words": ("'test': (x, ['a'] * 10)", "must be numbers"),
    "an error of its own": ("'test': 1 / 0", "train.py:6: ZeroDivisionError: division by zero"),
}
# What fails a cell: (body of train, rest of the file, kind, part of the reason).
FAILING = {
    "an exception": ("raise ValueError('bad')", "", "exception", "train.py:9: ValueError: bad"),
    "an exit": ("raise SystemExit(2)", "", "exception", "training code must return, and not exit"),
    "a hard exit": ("import os; os._exit(7)", "", "crashed", "its process exited with code 7"),
    "a segmentation fault": (
        "import ctypes; ctypes.string_at(0)", "", "crashed",
        "was ended by signal SIGSEGV, a segmentation fault",
    ),
    "out of memory": ("raise MemoryError", "", "out of memory", "MemoryError"),
    "test in train": (
        "run.data['test']", "", "exception", "run.data has no 'test': trainings never see it",
    ),
    "input()": ("input()", "", "exception", "train.py:9: input() was called"),
    "NaN reported": (
        "run.report(1, accuracy=float('nan'))", "", "not finite", "accuracy reported at step 1",
    ),
    "no number reported": (
        "run.report(1, accuracy='high')", "", "exception", "'accuracy' is of type str",
    ),
    "no step": ("run.report(accuracy=1)", "", "exception", "missing 1 required positional"),
    "steps that fall": (
        "run.report(3, loss=1); run.report(1, loss=1)", "", "exception", "got 1 after 3",
    ),
    "predictions of the wrong shape": (
        "return 1", "def predict(model, inputs): return np.ones((10, 3))", "exception",
        "predict of the valid split",
    ),
    "too few predictions": (
        "return 1", "def predict(model, inputs): return inputs[:3, 0]", "exception",
        "predict of the valid split",
    ),
    "NaN predicted": (
        "return 1", "def predict(model, inputs): return inputs[:, 0] * np.nan", "not finite",
        "predict of the valid split",
    ),
    "predictions that are no numbers": (
        "return 1", "def predict(model, inputs): return [model] * len(inputs[0]) + [None]",
        "exception", "what predict returns must be numbers",
    ),
    "an error of predict": (
        "return 1", "def predict(model, inputs): return model.go()", "exception",
        "train.py:10: AttributeError: 'int' object has no attribute 'go'",
    ),
}  # fmt: skip


def written(folder: Path, text: str) -> Path:
    return write_code(folder, STUDY, train=text)


@pytest.mark.parametrize("name", REFUSED)
def test_code_that_can_not_be_used_is_refused_with_its_line(name: str, tmp_path: Path) -> None:
    text, message = REFUSED[name]
    with pytest.raises(StudyError) as caught:
        load_study(written(tmp_path, text))
    shown = str(caught.value)
    assert message in shown
    assert shown.startswith("study.yaml:2: core: ")
    assert "\n" not in shown


@pytest.mark.parametrize("name", UNUSABLE)
def test_data_that_can_not_be_used_are_refused(name: str, tmp_path: Path) -> None:
    part, message = UNUSABLE[name]
    text = (
        "import numpy as np\n\n\ndef load(path=None):\n"
        "    x, y = np.ones((10, 2)), np.arange(10) % 2\n"
        f"    return {{'train': (x, y), 'valid': (x, y), {part}}}\n"
        f"{PREDICT}def train(width: int = 1, *, run): ...\n"
    )
    study = load_study(written(tmp_path, text))
    with pytest.raises(DataError, match=r"^train\.py") as caught:
        study.core.open(study.data)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def train_text(body: str, rest: str = "") -> str:
    return f"{HEAD}def train(width: int = 1, *, run):\n    {body}\n{rest}\n"


def outcome_of(text: str, **how: Any) -> Any:
    core = core_of([SourceFile("train.py", text)])
    data = core.open(core.parse_source(None, Path(), "binary"))
    config: Any = default_of(core.config_class)
    prepared, _ = core.prepare(data, [config])
    options: dict[str, Any] = {"epoch_limit": None, "tested": False, "compared": "", **how}
    training = core.train(
        [Member(config, 1)], prepared, device="cpu", size=None, resume={}, identity="", **options
    )
    training.train_for(math.inf)
    return training.result(0)


@pytest.mark.parametrize("name", FAILING)
def test_what_goes_wrong_in_a_training_is_one_failed_cell(name: str) -> None:
    body, rest, kind, reason = FAILING[name]
    outcome = outcome_of(train_text(body, rest))
    assert outcome.status == Status.FAILED
    assert outcome.kind == kind
    assert reason in outcome.reason
    assert "\n" not in outcome.reason


def test_the_log_of_a_failure_is_the_users_alone() -> None:
    outcome = outcome_of(train_text("print('before'); raise ValueError('bad')"))
    assert "before" in outcome.log
    assert "raise ValueError('bad')" in outcome.log
    assert "search/cores" not in outcome.log


def test_a_training_without_reports_is_one_epoch() -> None:
    outcome = outcome_of(train_text("return 1"))
    assert (outcome.status, outcome.epochs, outcome.curve) == (Status.COMPLETE, 1, {})
    assert outcome.valid["accuracy"] == 0.5


def test_a_report_after_stop_is_refused() -> None:
    text = train_text(
        "try: run.report(1, loss=1); run.report(2, loss=1)\n"
        "    except run.Stop: run.report(3, loss=1)"
    )
    core = core_of([SourceFile("train.py", text)])
    data = core.open(core.parse_source(None, Path(), "binary"))
    config: Any = default_of(core.config_class)
    training = core.train(
        [Member(config, 1)], core.prepare(data, [config])[0], device="cpu", size=None,
        epoch_limit=None, resume={}, identity="", tested=False, compared="",
    )  # fmt: skip
    training.advance_epoch()
    training.stop_members([0])
    assert training.result(0).status == Status.PRUNED  # it was to stop, whatever it does then


def test_what_is_printed_and_returned_in_masses_is_no_burden() -> None:
    outcome = outcome_of(
        train_text("print('x' * 10**8); print('the end'); raise ValueError(b'y' * 10**6)")
    )
    assert outcome.kind == "exception"
    assert len(outcome.log) + len(outcome.reason) < 20_000
    huge = outcome_of(train_text("return np.zeros((4000, 4000))"))
    assert huge.status == Status.COMPLETE


def test_what_can_not_be_pickled_may_be_returned() -> None:
    outcome = outcome_of(train_text("return (lambda: 1)"))
    assert outcome.status == Status.COMPLETE


def test_processes_and_threads_that_are_left_end_with_the_cell(tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    outcome = outcome_of(
        train_text(
            "import os, threading, time\n"
            "    threading.Thread(target=time.sleep, args=(1000,)).start()\n"
            "    if os.fork() == 0:\n"
            f"        while True: open({str(alive)!r}, 'w').write('x'); time.sleep(0.05)\n"
            "    return 1"
        )
    )
    assert outcome.status == Status.COMPLETE
    alive.unlink(missing_ok=True)
    time.sleep(0.3)
    assert not alive.exists()


def test_a_silent_training_ends_at_the_limit() -> None:
    outcome = outcome_of(train_text("import time; time.sleep(1000)"), epoch_limit=0.5)
    assert (outcome.status, outcome.kind) == (Status.FAILED, "timeout")
    assert outcome.reason.startswith("no report for 0.5 seconds; report more often")


def test_a_changed_configuration_is_a_failed_cell() -> None:
    text = (
        f"{HEAD}from dataclasses import dataclass\n@dataclass\nclass Config:\n    width: int = 1\n"
        "def train(config, run):\n    config.width = 5\n"
    )
    outcome = outcome_of(text)
    assert "train changed its configuration: 'width' was 1 and is 5" in outcome.reason


def test_a_cell_does_not_see_what_another_one_has_left() -> None:
    text = f"{HEAD}KEPT = []\ndef train(width: int = 1, *, run):\n    KEPT.append(1)\n" + (
        "    run.report(len(KEPT), loss=1.0)\n"
    )
    core = core_of([SourceFile("train.py", text)])
    data = core.open(core.parse_source(None, Path(), "binary"))
    config: Any = default_of(core.config_class)
    training = core.train(
        [Member(config, seed) for seed in range(3)], core.prepare(data, [config])[0],
        device="cpu", size=None, epoch_limit=None, resume={}, identity="", tested=False,
        compared="",
    )  # fmt: skip
    training.train_for(math.inf)
    assert [training.result(place).epochs for place in range(3)] == [1, 1, 1]
    steps = [cell.reports[0][0] for cell in training._cells]  # type: ignore[attr-defined]
    assert steps == [1, 1, 1]


def test_a_path_with_signs_of_other_scripts_is_used(tmp_path: Path) -> None:
    folder = tmp_path / "Größe 大 ü"
    folder.mkdir()
    study = load_study(written(folder, train_text("return 1")))
    assert study.core.open(study.data).counts["valid"] == 10


def test_a_killed_worker_leaves_neither_processes_nor_files(tmp_path: Path) -> None:
    began = tmp_path / "began"
    body = f"import time; open({str(began)!r}, 'w').write(str(run.folder)); time.sleep(1000)"
    worker = (
        "from tests.search.cores.test_user_mistakes import outcome_of, train_text\n"
        f"outcome_of(train_text({body!r}))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", worker], cwd=REPOSITORY, env={**os.environ, "TMPDIR": str(tmp_path)}
    )
    wait_for(lambda: began.exists() and began.read_text(), 30, "the training")
    assert Path(began.read_text()).is_dir()
    process.kill()
    process.wait()
    wait_for(lambda: not list(tmp_path.glob("triptych-*")), 10, "an empty folder")


def test_a_scheduler_needs_its_metric_in_every_report() -> None:
    outcome = outcome_of(train_text("run.report(1, loss=0.5); return 1"), compared="accuracy")
    assert outcome.status == Status.FAILED
    assert outcome.reason == (
        "budget.scheduler compares by 'accuracy', but step 1 reports loss; report it, or tune by "
        "one of these"
    )
    good = outcome_of(train_text("run.report(1, accuracy=0.5); return 1"), compared="accuracy")
    assert good.status == Status.COMPLETE


def test_a_metric_of_the_file_has_a_name_of_its_own() -> None:
    text = train_text("return 1", "higher_is_better = True\ndef accuracy(p, y): ...\n")
    with pytest.raises(ConfigError, match="'accuracy' is computed from what predict returns"):
        core_of([SourceFile("train.py", text + "metric = accuracy\n")])
    core = core_of([SourceFile("train.py", text.replace("accuracy", "gain") + "metric = gain\n")])
    assert "gain" in core.tasks["binary"]


def test_a_worker_without_the_data_fails_its_cells_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_text("10", encoding="utf-8")
    text = train_text("return 1").replace(
        "= np.arange(20.0)", "= float(open(path).read()) * np.arange(20.0)"
    )
    core = core_of([SourceFile("train.py", text)])
    data = core.open(core.parse_source(str(path), Path(), "binary"))
    path.write_text("20", encoding="utf-8")
    config: Any = default_of(core.config_class)
    training = core.train(
        [Member(config, 1)], core.prepare(data, [config])[0], device="cpu", size=None,
        epoch_limit=None, resume={}, identity="", tested=False, compared="",
    )  # fmt: skip
    training.train_for(math.inf)
    assert "load returned other data in this process" in training.result(0).reason


def test_a_sparse_matrix_is_an_input(tmp_path: Path) -> None:
    text = train_text("return 1").replace(
        "inputs = np.arange", "import scipy.sparse\n    inputs = np.arange"
    )
    text = text.replace(
        "(inputs, np.arange(10) % 2)", "(scipy.sparse.csr_array(inputs), np.arange(10) % 2)"
    )
    text = text.replace("inputs[:, 0]", "inputs.toarray()[:, 0]")
    prints = []
    for one in (text, text.replace("np.arange(20.0)", "np.arange(1.0, 21.0)")):
        core = core_of([SourceFile("train.py", one)])
        data = core.open(core.parse_source(None, Path(), "binary"))
        assert data.counts == {"train": 10, "valid": 10, "test": 10}
        prints.append(data.fingerprint)
    assert len(set(prints)) == 2
