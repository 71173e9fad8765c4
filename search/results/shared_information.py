"""`modalities.json`: what parts of the input share about the label, once per data set.

Of cores that can estimate it (`spaces.abilities.Informed`), from the train split alone, so it shows
nothing of a test. What takes seconds is done in a thread, while Ray starts.
"""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reports.encoding import information_from_plain
from reports.results import ResultsError, SharedInformation
from search.atomic_files import write_text_atomically
from spaces.abilities import Informed
from spaces.core import Core, Data

MODALITIES = "modalities.json"


def keep_information(folder: Path, core: Core, dataset: Data) -> None:
    """Estimate it and keep it in a results folder, unless it is there for these data.

    Nothing of a core that can't.

    Raises:
        Exception: It cannot be written, or the data give no estimate.
    """
    if not isinstance(core, Informed):
        return
    method = core.information_method
    kept = _read_kept(folder)
    if (kept.get("data"), kept.get("method")) == (dataset.fingerprint, method):
        return
    pairs = list(core.estimate_information(dataset))
    content = {"data": dataset.fingerprint, "method": method, "pairs": pairs}
    write_text_atomically(folder / MODALITIES, json.dumps(content, indent=1))


def read_information(folder: Path, data: str) -> tuple[SharedInformation, ...]:
    """Read the estimate of a results folder; nothing if it has none, or one of other data.

    Args:
        folder: Results folder.
        data: Fingerprint of the data of the results.
    """
    kept = _read_kept(folder)
    if kept.get("data") != data:
        return ()
    try:
        return information_from_plain(kept["pairs"])
    except (KeyError, TypeError, ResultsError):
        return ()


class InformationEstimation:
    """An estimate that is made while the study trains. A failure here fails no run."""

    def __init__(
        self, folder: Path, core: Core, dataset: Data, print_line: Callable[[str], None]
    ) -> None:
        """Start to estimate.

        Args:
            folder: Results folder.
            core: Core of the study.
            dataset: Data of the study.
            print_line: Called with one line: why there is no estimate.
        """
        self._folder, self._core, self._dataset = folder, core, dataset
        self._print_line = print_line
        self._failure = ""
        self._thread = threading.Thread(
            target=self._estimate_in_thread, name="modalities", daemon=True
        )
        self._thread.start()

    def wait(self, most_seconds: float | None = None) -> None:
        """Wait until it is done, or so long; what is not there then is made by the next run.

        Args:
            most_seconds: Longest time to wait; None = without a limit.
        """
        self._thread.join(most_seconds)
        if self._failure:
            self._print_line(f"note: what the modalities share is not estimated: {self._failure}")

    def _estimate_in_thread(self) -> None:
        try:
            keep_information(self._folder, self._core, self._dataset)
        except Exception as error:  # whatever the data or the disk are like
            self._failure = str(error).partition("\n")[0] or type(error).__name__


def _read_kept(folder: Path) -> dict[str, Any]:
    try:
        content = json.loads((folder / MODALITIES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
