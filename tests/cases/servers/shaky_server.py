"""A tracking server in memory, for laws: it answers like MLflow's client, or fails in some way."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

BEFORE, AFTER, LATER = "before", "after", "later"  # it fails: not done, done, done a little later
CONDITION = re.compile(r"(tags|attributes)\.`?([\w.]+)`? = '([^']*)'")


@dataclass(eq=False)
class Run:
    """One run."""

    info: Any
    data: Any
    artifacts: dict[str, str] = field(default_factory=dict)
    points: set[tuple[str, float, int]] = field(default_factory=set)


class Page(list[Run]):
    token: str | None = None


class ShakyServer:
    """Its `trouble` is asked before each request."""

    def __init__(self, trouble: Callable[[], str | None] = lambda: None) -> None:
        self.trouble = trouble
        self.runs: dict[str, Run] = {}
        self.experiments: dict[str, str] = {}
        self._late: list[Callable[[], Any]] = []

    def active(self, kind: str) -> list[Run]:
        """The runs of a kind that nobody deleted."""
        return [
            run
            for run in self.runs.values()
            if run.data.tags["triptych.kind"] == kind and run.info.lifecycle_stage == "active"
        ]

    def settle(self) -> None:
        """Do what is still to be done."""
        while self._late:
            self._late.pop(0)()

    def _request(self, work: Callable[[], Any]) -> Any:
        trouble = self.trouble()
        if trouble == BEFORE:
            raise ConnectionError("away")
        if trouble == LATER:
            self._late.append(work)
            raise TimeoutError("no answer in time")
        done = work()
        if trouble is None and len(self._late) > 1:
            self._late.pop(0)()
        if trouble == AFTER:
            raise ConnectionError("the answer was lost")
        return done

    def get_experiment_by_name(self, name: str) -> Any:
        def work() -> Any:
            number = self.experiments.get(name)
            return number and SimpleNamespace(experiment_id=number, lifecycle_stage="active")

        return self._request(work)

    def create_experiment(self, name: str, artifact_location: str | None = None) -> str:
        return str(self._request(lambda: self.experiments.setdefault(name, "1")))

    def create_run(self, experiment: str, start_time: int | None, tags: dict[str, str]) -> Run:
        asked = start_time or time.time_ns()

        def work() -> Run:
            number = f"run{len(self.runs):04}"
            info = SimpleNamespace(
                run_id=number,
                status="RUNNING",
                lifecycle_stage="active",
                start_time=asked,
                end_time=None,
                artifact_uri=f"memory:/{number}",
            )
            data = SimpleNamespace(tags=dict(tags), params={}, metrics={})
            self.runs[number] = Run(info, data)
            return self.runs[number]

        return self._request(work)  # type: ignore[no-any-return]

    def search_runs(
        self,
        experiments: list[str],
        query: str,
        max_results: int = 1000,
        page_token: str | None = None,
        order_by: list[str] | None = None,
    ) -> Page:
        def work() -> Page:
            found = [
                run
                for run in self.runs.values()
                if run.info.lifecycle_stage == "active"
                and all(
                    (run.data.tags if where == "tags" else vars(run.info)).get(name) == value
                    for where, name, value in CONDITION.findall(query)
                )
            ]
            found.sort(key=lambda run: run.info.start_time, reverse=not order_by)
            start = int(page_token or 0)
            page = Page(found[start : start + max_results])
            page.token = str(start + max_results) if start + max_results < len(found) else None
            return page

        return self._request(work)  # type: ignore[no-any-return]

    def update_run(self, run_id: str, status: str) -> None:
        self._request(lambda: self._terminate(run_id, status))

    def set_terminated(self, run_id: str, status: str, end_time: int | None = None) -> None:
        self._request(lambda: self._terminate(run_id, status))

    def delete_run(self, run_id: str) -> None:
        def work() -> None:
            self.runs[run_id].info.lifecycle_stage = "deleted"

        self._request(work)

    def set_tag(self, run_id: str, name: str, value: str) -> None:
        self._request(lambda: self.runs[run_id].data.tags.update({name: value}))

    def get_run(self, run_id: str) -> Run:
        return self._request(lambda: self.runs[run_id])  # type: ignore[no-any-return]

    def log_batch(self, run_id: str, metrics: Any = (), params: Any = (), tags: Any = ()) -> None:
        def work() -> None:
            run = self.runs[run_id]
            run.points |= {(point.key, point.value, point.step) for point in metrics}
            run.data.params |= {param.key: param.value for param in params}
            run.data.tags |= {tag.key: tag.value for tag in tags}

        self._request(work)

    def log_artifact(self, run_id: str, path: str, folder: str | None = None) -> None:
        text = Path(path).read_text(encoding="utf-8")
        self._request(lambda: self.runs[run_id].artifacts.update({Path(path).name: text}))

    def log_text(self, run_id: str, text: str, name: str) -> None:
        self._request(lambda: self.runs[run_id].artifacts.update({name: text}))

    def _terminate(self, run_id: str, status: str) -> None:
        if self.runs[run_id].info.lifecycle_stage == "active":  # MLflow refuses it for others
            self.runs[run_id].info.status = status
