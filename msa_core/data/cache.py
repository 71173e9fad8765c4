"""Feature files converted once, checked once, and from then on opened without being read.

The cache is a folder: `TRIPTYCH_CACHE`, else `triptych` in `XDG_CACHE_HOME`, else
`~/.cache/triptych`; `TRIPTYCH_CACHE=off` does without. It may be deleted at any time.

    datasets/<inputs>-<code>.safetensors   a data set with its fingerprint; memory-mapped
    contents/<path>.json                   what a file's bytes were, and its times at that moment

`inputs` is a digest of the source's bytes, its suffix, the label scheme and the text model, `code`
one of the sources that read. A file is hashed again as soon as its size, either of its times or
its number in the file system differs, so a changed file never gives old data. An entry carries the
time of its own writing, so one that was touched since, or is cut off, or is not ours, counts as
absent. Files come into being under another name and are renamed when whole: processes may read and
write at once, and at worst do the same work twice. A folder that can't be written costs the time
of a conversion and nothing else.
"""

import contextlib
import functools
import hashlib
import json
import logging
import os
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from msa_core.config.schema import LABEL_SCHEMES, MODALITIES
from msa_core.data.arrays import ids_as_text, texts_from
from msa_core.data.dataset import DataError, Dataset, Split, Splits
from msa_core.data.layout import (
    ID_KEY,
    LABEL_KEY,
    LENGTH_KEYS,
    SPLITS,
    UNIMODAL_KEYS,
    named_arrays,
)
from msa_core.data.tensor_file import TensorFile, open_tensors, write_tensors

VARIABLE = "TRIPTYCH_CACHE"
# A file may change twice within one tick of its clock; coarse ones tick every two seconds.
TICK_SECONDS = 2
# What nobody finished or will ask for again is removed after this; sooner, a process of another
# version on another machine may still have it open.
ABANDONED_SECONDS = 7 * 24 * 3600
_PARTIAL = ".part"
_KEY, _WRITTEN = "triptych.key", "triptych.written"
_SCHEME, _FINGERPRINT = "triptych.scheme", "triptych.fingerprint"

Stamp = tuple[int, int, int, int]


def cache_folder() -> Path | None:
    """Where the cache is; None if it is switched off, or there is no home folder."""
    chosen = os.environ.get(VARIABLE, "")
    if chosen.lower() == "off":
        return None
    try:
        if chosen:
            return Path(chosen).expanduser()
        base = Path(os.environ.get("XDG_CACHE_HOME", ""))
        return (base if base.is_absolute() else Path.home() / ".cache") / "triptych"
    except RuntimeError:
        return None


def cached(
    path: Path, scheme: str, read: Callable[[], Dataset], text_model: Path | None = None
) -> Dataset:
    """The data set of a file, from the cache if it is there, else read and put there.

    Args:
        path: the feature file.
        scheme: a key of `LABEL_SCHEMES`.
        read: reads and checks the file.
        text_model: the folder of the model that encodes its text.

    Returns:
        What `read` gives, to the bit; the features are then read-only.

    Raises:
        OSError: the file can't be opened.
        DataError: whatever `read` raises.
    """
    folder = cache_folder()
    if folder is None:
        return read()
    sources = [path, *_files(text_model)]
    before = [_stamp(source) for source in sources]
    inputs = _digest(
        path.suffix.lower(),
        repr((scheme, LABEL_SCHEMES.get(scheme), text_model is not None)),
        *(content_hash(source, folder) for source in sources),
        *(str(source.relative_to(text_model)) for source in sources[1:] if text_model),
    )
    entry = folder / "datasets" / f"{inputs}-{_code()}.safetensors"
    found = _open(entry, path.name)
    if found is None:
        found = read()
        # A file that changed while it was read may have been hashed in one state and read in
        # another.
        if [_stamp(source) for source in sources] == before:
            _store(entry, inputs, found)
            found = _open(entry, path.name) or found
    return found


def content_hash(path: Path, folder: Path) -> str:
    """SHA-256 of a file's bytes; not read again while nothing says that it changed.

    Args:
        path: the file.
        folder: the cache.

    Raises:
        OSError: the file can't be opened.
    """
    stamp = _stamp(path)
    known = folder / "contents" / f"{_digest(str(path.resolve()))}.json"
    try:
        record = json.loads(known.read_bytes())
        if record["stamp"] == list(stamp):
            return str(record["sha256"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass  # Absent, or no record: made anew.
    now = time.time_ns()
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    is_settled = now - max(stamp[1:3]) > TICK_SECONDS * 10**9
    if is_settled and _stamp(path) == stamp:
        record = json.dumps({"path": str(path), "stamp": stamp, "sha256": digest})
        _write_whole(known, lambda part: part.write_text(record, "utf-8"))
    return digest


def _stamp(path: Path) -> Stamp:
    """Size, time of the contents, time of any change (which nobody can set back), number."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _files(folder: Path | None) -> list[Path]:
    """What a model is made of: all but what the folder's own tools keep in hidden places."""
    if folder is None:
        return []
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


def _store(entry: Path, inputs: str, dataset: Dataset) -> None:
    # Whole, even seconds: every file system keeps them as they are.
    written = int(time.time()) // TICK_SECONDS * TICK_SECONDS * 10**9
    facts = {
        _KEY: entry.stem,
        _WRITTEN: str(written),
        _SCHEME: dataset.splits.scheme,
        _FINGERPRINT: dataset.fingerprint,
    }

    def write(part: Path) -> None:
        write_tensors(part, named_arrays(dataset), {**ids_as_text(dataset), **facts})
        os.utime(part, ns=(written, written))

    _write_whole(entry, write)
    _sweep(entry.parent, f"{inputs}-*.safetensors", but=entry)  # Read by older code.


def _open(entry: Path, source: str) -> Dataset | None:
    """The data set of an entry; None if there is none, or not one that can be trusted."""
    try:
        written = entry.stat().st_mtime_ns
        file = open_tensors(entry)
        facts = file.metadata
        if facts[_KEY] != entry.stem or facts[_WRITTEN] != str(written):
            return None
        train, valid, test = (_split(entry.name, file, name) for name in SPLITS)
        scheme, fingerprint = facts[_SCHEME], facts[_FINGERPRINT]
    except (OSError, DataError, KeyError, ValueError):
        return None
    splits = Splits(train=train, valid=valid, scheme=scheme)
    return Dataset(source=source, splits=splits, test=test, fingerprint=fingerprint)


def _split(source: str, file: TensorFile, name: str) -> Split:
    def arrays(keys: Mapping[str, str], copied: bool) -> dict[str, Any]:
        named = {modality: f"{name}.{key}" for modality, key in keys.items()}
        found = {m: file.arrays[key] for m, key in named.items() if key in file.arrays}
        return {m: array.copy() for m, array in found.items()} if copied else found

    # One number an utterance is copied: it costs nothing, and such an array may be written.
    labels: Any = file.arrays[f"{name}.{LABEL_KEY}"].copy()
    id_name = f"{name}.{ID_KEY}"
    return Split(
        name=name,
        ids=tuple(texts_from(source, id_name, file.metadata[id_name])),
        features=arrays({modality: modality for modality in MODALITIES}, copied=False),
        lengths=arrays(LENGTH_KEYS, copied=True),
        labels=labels,
        unimodal_labels=arrays(UNIMODAL_KEYS, copied=True),
    )


def _write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file under another name and rename it, so that nobody ever sees a part of it.

    Where that fails the file is not there, and a note is all that happens.
    """
    part = path.with_name(f"{uuid.uuid4().hex}{_PARTIAL}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent, f"*{_PARTIAL}", but=part)  # Left by processes that were killed.
        write(part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        _note(str(path.parent.parent), error.strerror or str(error))
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _sweep(folder: Path, pattern: str, but: Path) -> None:
    """Remove old files, except one."""
    for path in folder.glob(pattern):
        with contextlib.suppress(OSError):  # Somebody else was faster.
            if path != but and time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                path.unlink()


@functools.cache
def _note(folder: str, why: str) -> None:
    """Said once a process."""
    logging.getLogger(__name__).warning(
        "%s can't be written (%s); feature files are read anew each time. "
        "Set %s to another folder, or to 'off'.", folder, why, VARIABLE,
    )  # fmt: skip


@functools.cache
def _code() -> str:
    """Digest of the sources that turn files into data sets."""
    return _digest(
        *(path.read_text("utf-8") for path in sorted(Path(__file__).parent.glob("*.py")))
    )


def _digest(*parts: str) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{len(part)}:{part}".encode(errors="surrogateescape"))
    return digest.hexdigest()[:32]
