"""One training: a forked process that trains, predicts, reports and is gone."""

import ctypes
import importlib.abc
import importlib.util
import os
import random
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import numpy as np
import numpy.random  # numpy imports it when it is used first, which each cell would pay again
from numpy.typing import NDArray

from search.cores.child.config_fields import ConfigDescription, build_config, values_of
from search.cores.child.messages import receive_message, send_message
from search.cores.child.run_object import Run, SealedSplits, Stop
from search.cores.child.splits import Split, as_array
from search.cores.child.user_errors import CodeMistake, describe_error, user_traceback
from spaces.failures import FailureKind, kind_of

PR_SET_PDEATHSIG = 1
Functions = Mapping[str, Callable[..., Any] | None]
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedCode:
    """The user's code, imported, and its data.

    Attributes:
        folder: Folder of the code.
        functions: Name -> function; None where the file has none of that name.
        description: Fields of its configuration.
        splits: Name of a split -> split; empty if the code brings its own data.
    """

    folder: Path
    functions: Functions
    description: ConfigDescription
    splits: Mapping[str, Split]


def become_cell(
    code: LoadedCode, request: Mapping[str, Any], connection: Connection, output: int
) -> NoReturn:
    """Train a cell in this process, which was forked for it, and end.

    Args:
        code: Imported code.
        request: Values, seed, device and folders.
        connection: Connection to who waits for the cell.
        output: File descriptor that takes what it prints.
    """
    ended: dict[str, Any]
    arrays: Arrays = {}
    try:
        _be_alone(output)
        ended, arrays = _train(code, request, connection)
    except BaseException as error:
        ended = failure_of(error, code.folder)
    try:
        _flush()
        send_message(connection, ended, arrays)
        # Else a reader could meet the end of the connection before the last message.
        connection.recv_bytes()
    except (OSError, EOFError, ValueError):
        pass
    finally:
        # At once: threads and handlers of the user's are nobody's any more.
        os._exit(0)


def failure_of(error: BaseException, folder: Path) -> dict[str, Any]:
    """Describe a failed training: kind, reason in one line, and the user's traceback."""
    if isinstance(error, SystemExit):
        reason = f"{describe_error(error, folder)}: training code must return, and not exit"
        return _failure(FailureKind.EXCEPTION, reason, user_traceback(error))
    reason = describe_error(error, folder)
    if isinstance(error, CodeMistake):
        reason = reason.replace("CodeMistake: ", "", 1)
    if "re-initialize CUDA in forked" in str(error):
        reason += "; touch the GPU in train alone, and neither at import nor in load"
    return _failure(kind_of(error), reason, user_traceback(error))


def _failure(kind: FailureKind, reason: str, log: str) -> dict[str, Any]:
    return {"ended": "failed", "kind": kind.value, "reason": reason, "log": log}


def _be_alone(output: int) -> None:
    """Become the head of a session that ends with its parent and prints into a pipe."""
    os.setsid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


def _train(
    code: LoadedCode, request: Mapping[str, Any], connection: Connection
) -> tuple[dict[str, Any], Arrays]:
    seed_everything(request["seed"])
    train = code.functions["train"]
    assert train is not None
    args, kwargs = build_config(code.description, request["values"])
    before = values_of(code.description, args)
    run = _make_run(code, request, connection)
    try:
        model = train(*args, **kwargs, **_run_argument(code.description, run))
    except Stop:
        return {"ended": "stopped"}, {}
    _check_unchanged(before, values_of(code.description, args))
    if run.state.get("stopped"):
        return {"ended": "stopped"}, {}
    numbers: dict[str, float] = {}
    arrays: Arrays = {}
    for split in ("valid", "test") if request["tested"] else ("valid",):
        _add_outputs(code, model, split, numbers, arrays)
    return {"ended": "complete", "numbers": numbers, "parameters": count_parameters(model)}, arrays


def count_parameters(model: Any) -> int | None:
    """Count the trained parameters of a PyTorch module; None where it can't be known."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(model, torch.nn.Module):
        return None
    return int(sum(one.numel() for one in model.parameters() if one.requires_grad))


def name_of_metric(metric: Callable[..., Any]) -> str:
    """Return the name of the user's own metric: that of its function."""
    return getattr(metric, "__name__", "metric")


def _run_argument(description: ConfigDescription, run: Run) -> dict[str, Run]:
    return {description.run: run} if description.run else {}


def _make_run(code: LoadedCode, request: Mapping[str, Any], connection: Connection) -> Run:
    def answer(step: int, metrics: Mapping[str, float]) -> bool:
        _flush()
        send_message(connection, {"report": step, "metrics": metrics})
        return bool(receive_message(connection)[0]["go"])

    folder = Path(request["folder"])
    made = {name: folder / name for name in ("scratch", "checkpoint")}
    for one in made.values():
        one.mkdir(parents=True, exist_ok=True)
    return Run(
        seed=request["seed"],
        device=request["device"],
        data=SealedSplits({name: code.splits[name].whole for name in ("train", "valid")
                           if name in code.splits}),
        folder=made["scratch"],
        checkpoint=made["checkpoint"],
        resumed=any(made["checkpoint"].iterdir()),
        answer=answer,
        process=os.getpid(),
        state={},
    )  # fmt: skip


def _check_unchanged(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    for path, value in before.items():
        if after[path] != value:
            raise CodeMistake(
                f"train changed its configuration: '{path}' was {value!r} and is {after[path]!r}; "
                "the table would show the first, so use a variable of its own"
            )


def _add_outputs(
    code: LoadedCode, model: Any, split: str, numbers: dict[str, float], arrays: Arrays
) -> None:
    """Add the predictions of a split, or what `evaluate` returns for it."""
    predict, evaluate = code.functions["predict"], code.functions["evaluate"]
    held = code.splits.get(split)
    if predict is not None and held is not None:
        arrays[split] = as_array(predict(model, held.inputs), "what predict returns")
        if metric := code.functions["metric"]:
            name = name_of_metric(metric)
            numbers[f"{split}.{name}"] = _own_score(metric, arrays[split], held.labels)
    if evaluate is not None:
        found = (
            evaluate(model, held.whole[0], held.whole[1])
            if held is not None
            else evaluate(model, split)
        )
        if not isinstance(found, Mapping) or not found:
            raise CodeMistake(
                "evaluate must return {'metric': number or array [N]}, but returned a value of "
                f"type {type(found).__name__}"
            )
        for name, value in found.items():
            array = as_array(np.atleast_1d(value), f"'{name}' of evaluate")
            numbers[f"{split}.{name}"] = float(array.mean())


def _own_score(metric: Callable[..., Any], predictions: NDArray[Any], labels: Any) -> float:
    found = metric(predictions, labels)
    try:
        return float(found)
    except (TypeError, ValueError):
        raise CodeMistake(
            f"{name_of_metric(metric)} must return a number, but returned a value of type "
            f"{type(found).__name__}"
        ) from None


# Randomness.


def seed_everything(seed: int) -> None:
    """Seed `random`, NumPy and PyTorch; the last one when it is imported, if it is not yet."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  # what user code draws from
    if "torch" in sys.modules:
        _seed_torch(sys.modules["torch"], seed)
    else:
        sys.meta_path.insert(0, _SeedAtImport(seed))


def _seed_torch(torch: Any, seed: int) -> None:
    torch.manual_seed(seed)
    torch.set_num_threads(max(1, int(os.environ.get("OMP_NUM_THREADS", "1"))))


class _SeedAtImport(importlib.abc.MetaPathFinder):
    """Seeds PyTorch at its import: to import it for code that never does would take seconds."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        """Find PyTorch as everybody else does, with a loader that seeds it."""
        if name != "torch":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            load, seed = spec.loader.exec_module, self._seed

            def load_and_seed(module: ModuleType) -> None:
                load(module)
                _seed_torch(module, seed)

            spec.loader.exec_module = load_and_seed  # type: ignore[method-assign]
        return spec
