"""The loop of the process that holds the user's code: describes it, loads data, forks cells."""

import gc
import os
import shutil
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from pathlib import Path
from types import ModuleType
from typing import Any

from search.cores.child.cell import LoadedCode, become_cell, name_of_metric
from search.cores.child.config_fields import describe_config
from search.cores.child.messages import receive_message, send_message
from search.cores.child.splits import fingerprint_of, load_splits, path_parameter
from search.cores.child.user_errors import CodeMistake, describe_error, user_traceback
from search.cores.child.user_module import find_function, import_user_module

FUNCTIONS = ("load", "train", "predict", "evaluate", "metric")


class Host:
    """What the process holds."""

    def __init__(self, connection: Connection) -> None:
        """Hold nothing yet."""
        self.connection = connection
        self.code: LoadedCode | None = None
        self.cells: set[int] = set()  # process numbers

    def serve(self) -> None:
        """Answer requests until nobody is left to ask."""
        asked = {
            "describe": self.describe,
            "load": self.load,
            "start": self.start_cell,
            "wait": self.wait_for,
        }
        while True:
            try:
                request, _ = receive_message(self.connection)
            except (EOFError, OSError):
                break
            job = request.pop("do")
            asked[job](request)
            if job in ("describe", "load"):
                # What is there now is never collected, so that pages stay shared with cells.
                gc.collect()
                gc.freeze()
        for cell in self.cells:
            _end_group(cell)

    def describe(self, request: Mapping[str, Any]) -> None:
        """Import the code and describe it."""
        folder = Path(request["folder"]) if request["folder"] else None
        try:
            module = import_user_module(folder, request["module"])
            functions = {name: find_function(module, name) for name in FUNCTIONS}
            description = describe_config(_train_of(module))
            metrics = own_metrics(module, functions)
            self.code = LoadedCode(
                folder=folder or Path(getattr(module, "__file__", None) or "/").parent,
                functions=functions,
                description=description,
                splits={},
            )
        except CodeMistake as mistake:
            place = f"{request['file']}:{mistake.line}: " if mistake.line else ""
            send_message(self.connection, {"mistake": f"{place}{mistake}", "line": mistake.line})
            return
        send_message(
            self.connection,
            {
                "fields": self.code.description.to_plain(),
                "functions": [name for name, one in self.code.functions.items() if one],
                "metrics": metrics,
                "needs_path": bool(path_parameter(functions["load"])),
            },
        )

    def load(self, request: Mapping[str, Any]) -> None:
        """Call the user's `load`."""
        assert self.code is not None
        try:
            splits = load_splits(self.code.functions["load"], request["path"])
            self.code = LoadedCode(
                folder=self.code.folder,
                functions=self.code.functions,
                description=self.code.description,
                splits=splits,
            )
            answer = {
                "counts": {name: split.count for name, split in splits.items()},
                "groups": {name: split.groups for name, split in splits.items()},
                "fingerprint": fingerprint_of(splits, request["path"]),
            }
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            message = (
                str(error)
                if isinstance(error, CodeMistake)
                else describe_error(error, self.code.folder)
            )
            log = user_traceback(error)
            send_message(self.connection, {"mistake": f"load: {message}", "log": log})
            return
        labels = {name: one.labels for name, one in splits.items() if one.labels is not None}
        send_message(self.connection, answer, labels)

    def start_cell(self, request: Mapping[str, Any]) -> None:
        """Fork a cell."""
        assert self.code is not None
        connection = Connection(recv_handle(self.connection))
        output = recv_handle(self.connection)
        process = os.fork()
        if process == 0:
            os.close(self.connection.fileno())
            become_cell(self.code, request, connection, output)
        self.cells.add(process)
        connection.close()
        os.close(output)
        send_message(self.connection, {"process": process})

    def wait_for(self, request: Mapping[str, Any]) -> None:
        """End what is left of a cell, and tell how it ended."""
        process = request["process"]
        if request["kill"]:
            _end_group(process)
        _, status = os.waitpid(process, 0)
        _end_group(process)  # processes that it left behind
        self.cells.discard(process)
        send_message(self.connection, {"code": os.waitstatus_to_exitcode(status)})


def _train_of(module: ModuleType) -> Any:
    train = find_function(module, "train")
    if train is None:
        raise CodeMistake(
            "there is no function 'train'; write def train(config, run), see docs/functions.md"
        )
    return train


def own_metrics(
    module: ModuleType, functions: Mapping[str, Callable[..., Any] | None]
) -> dict[str, bool]:
    """Return metric that the code itself computes -> whether a larger value is better.

    Raises:
        CodeMistake: Nothing tells the direction of what `evaluate` returns, or nothing evaluates.
    """
    stated = getattr(module, "higher_is_better", None)
    directions = dict(stated) if isinstance(stated, Mapping) else {}
    if metric := functions["metric"]:
        name = name_of_metric(metric)
        known = directions.get(name, stated)
        if not isinstance(known, bool):
            raise CodeMistake(
                f"which values of '{name}' are better? write higher_is_better = True, or = False, "
                "beside def metric(predictions, labels)"
            )
        directions[name] = known
    if functions["evaluate"] and not directions:
        raise CodeMistake(
            "evaluate needs the direction of each number that it returns: write "
            "higher_is_better = {'perplexity': False} beside it"
        )
    if not functions["predict"] and not functions["evaluate"]:
        raise CodeMistake(
            "there is no function that says how good a model is; write def predict(model, inputs), "
            "or def evaluate(model, inputs, labels), see docs/functions.md"
        )
    if functions["predict"] and not functions["load"]:
        raise CodeMistake(
            "predict needs inputs: write def load(path=None) that returns the splits, or "
            "def evaluate(model, split) in place of predict"
        )
    wrong = [name for name, known in directions.items() if not isinstance(known, bool)]
    if wrong:
        raise CodeMistake(f"higher_is_better of '{wrong[0]}' must be True or False")
    return directions


def _end_group(process: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process, signal.SIGKILL)


def main(number: int, scratch: Path) -> None:
    """Serve, and clean up whoever ended: a killed worker can't.

    Args:
        number: File descriptor of the connection.
        scratch: Folder of all files of the process and its cells.
    """
    connection = Connection(number)
    sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115  # as long as it lives
    Host(connection).serve()
    shutil.rmtree(scratch, ignore_errors=True)
    os._exit(0)
