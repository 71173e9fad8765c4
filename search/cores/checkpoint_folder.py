"""The checkpoint of a training: what it keeps in `run.checkpoint`, and what it has reported."""

import io
import json
import shutil
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

Report = tuple[int, dict[str, float]]  # step, metric -> value


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """A checkpoint.

    Attributes:
        identity: Text of what decides the numbers beside configuration and seed.
        reports: Reports until then.
        seconds: Time of training until then, in seconds.
        files: Folder `run.checkpoint` as a tar file.
    """

    identity: str
    reports: Sequence[Report] = ()
    seconds: float = 0.0
    files: bytes = b""

    def to_bytes(self) -> bytes:
        """Return it as one text line and the tar file."""
        head = {"identity": self.identity, "reports": self.reports, "seconds": self.seconds}
        return json.dumps(head).encode() + b"\n" + self.files


def read_checkpoint(content: bytes, identity: str) -> Checkpoint | None:
    """Read a checkpoint; None if it is of another identity, or damaged."""
    line, _, files = content.partition(b"\n")
    try:
        head = json.loads(line)
        reports = [(step, metrics) for step, metrics in head["reports"]]
    except (ValueError, KeyError, TypeError):
        return None
    if head["identity"] != identity:
        return None
    return Checkpoint(identity=identity, reports=reports, seconds=head["seconds"], files=files)


@dataclass
class CheckpointFolder:
    """The folder `run.checkpoint`, packed when the training waits and it has changed.

    Attributes:
        path: The folder.
    """

    path: Path
    _packed: tuple[tuple[str, int, int], ...] = field(default=(), init=False)

    def restore(self, files: bytes) -> None:
        """Fill the folder from a tar file."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.path.mkdir(parents=True)
        with tarfile.open(fileobj=io.BytesIO(files)) as archive:
            archive.extractall(self.path, filter="data")
        self._packed = self._signature()

    def has_changed(self) -> bool:
        """Check whether it holds something else than when it was packed."""
        return self._signature() != self._packed

    def pack(self) -> bytes:
        """Return its files as a tar file."""
        self._packed = self._signature()
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as archive:
            archive.add(self.path, arcname=".")
        return stream.getvalue()

    def _signature(self) -> tuple[tuple[str, int, int], ...]:
        files = sorted(path for path in self.path.rglob("*") if path.is_file())
        found = ((path.as_posix(), path.stat()) for path in files)
        return tuple((name, facts.st_size, facts.st_mtime_ns) for name, facts in found)
