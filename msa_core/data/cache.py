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

from msa_core.config.fields import LABEL_SCHEMES, MODALITIES
from msa_core.data.dataset import Dataset, Split, Splits
from msa_core.data.layout import (
    ID_KEY,
    LABEL_KEY,
    LENGTH_KEYS,
    SPLITS,
    UNIMODAL_KEYS,
    named_arrays,
)
from msa_core.data.npz_and_safetensors import ids_as_text, texts_from
from msa_core.data.tensor_file import TensorFile, open_tensors, write_tensors
from spaces.core import DataError

VARIABLE = "TRIPTYCH_CACHE"
# A file may change twice within one tick of its clock; coarse ones tick every two seconds.
TICK_SECONDS = 2
# Unfinished files, and entries of older code, are removed after this; sooner, a process of another
# version on another machine may still have it open.
ABANDONED_SECONDS = 7 * 24 * 3600
_PARTIAL = ".part"
_KEY, _WRITTEN = "triptych.key", "triptych.written"
_SCHEME, _FINGERPRINT = "triptych.scheme", "triptych.fingerprint"

Stamp = tuple[int, int, int, int]


def cache_folder() -> Path | None:
    """Return the folder of the cache; None if it is switched off, or there is no home folder."""
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


def load_cached(
    path: Path, scheme: str, read: Callable[[], Dataset], text_model: Path | None = None
) -> Dataset:
    """Return the data set of a file, from the cache if it is there, else read and put there.

    Args:
        path: Feature file.
        scheme: Key of `LABEL_SCHEMES`.
        read: Function that reads and checks the file.
        text_model: Folder of the model that encodes its text.

    Returns:
        Data set that `read` returns, to the bit; its features are then read-only.

    Raises:
        OSError: The file can't be opened.
        DataError: Whatever `read` raises.
    """
    folder = cache_folder()
    if folder is None:
        return read()
    sources = [path, *_model_files(text_model)]
    before = [_stamp_of(source) for source in sources]
    inputs = _hash_texts(
        path.suffix.lower(),
        repr((scheme, LABEL_SCHEMES.get(scheme), text_model is not None)),
        *(content_hash(source, folder) for source in sources),
        # Names too: the same bytes under another name are another model.
        *(str(source.relative_to(text_model)) for source in sources[1:] if text_model),
    )
    entry = folder / "datasets" / f"{inputs}-{_code_digest()}.safetensors"
    found = _open_entry(entry, path.name)
    if found is None:
        found = read()
        # A file that changed while it was read may have been hashed in one state and read in
        # another.
        if [_stamp_of(source) for source in sources] == before:
            _write_entry(entry, inputs, found)
            found = _open_entry(entry, path.name) or found
    return found


def content_hash(path: Path, folder: Path) -> str:
    """Return the SHA-256 of a file's bytes, which are read again only if its times or size changed.

    Args:
        path: File that is hashed.
        folder: Folder of the cache.

    Raises:
        OSError: The file can't be opened.
    """
    stamp = _stamp_of(path)
    known = folder / "contents" / f"{_hash_texts(str(path.resolve()))}.json"
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
    if is_settled and _stamp_of(path) == stamp:
        record = json.dumps({"path": str(path), "stamp": stamp, "sha256": digest})
        _write_atomically(known, lambda part: part.write_text(record, "utf-8"))
    return digest


def _stamp_of(path: Path) -> Stamp:
    """Return size, time of the contents, time of any change and number in the file system."""
    # The time of the contents (mtime) can be set back by copying tools; that of any change (ctime)
    # can't.
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _model_files(folder: Path | None) -> list[Path]:
    """Return the files of a model: all but hidden ones, in which download tools keep records."""
    if folder is None:
        return []
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


def _write_entry(entry: Path, inputs: str, dataset: Dataset) -> None:
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

    _write_atomically(entry, write)
    _remove_abandoned(entry.parent, f"{inputs}-*.safetensors", but=entry)  # Read by older code.


def _open_entry(entry: Path, source: str) -> Dataset | None:
    """Return the data set of an entry; None if there is none, or not one that can be trusted."""
    try:
        written = entry.stat().st_mtime_ns
        file = open_tensors(entry)
        facts = file.metadata
        if facts[_KEY] != entry.stem or facts[_WRITTEN] != str(written):
            return None
        train, valid, test = (_read_split(entry.name, file, name) for name in SPLITS)
        scheme, fingerprint = facts[_SCHEME], facts[_FINGERPRINT]
    except (OSError, DataError, KeyError, ValueError):
        return None
    splits = Splits(train=train, valid=valid, scheme=scheme)
    return Dataset(source=source, splits=splits, test=test, fingerprint=fingerprint)


def _read_split(source: str, file: TensorFile, name: str) -> Split:
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


def _write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file under another name and rename it when whole, so that no reader sees a part.

    Where that fails the file is not there, and a warning is all that happens.
    """
    part = path.with_name(f"{uuid.uuid4().hex}{_PARTIAL}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(
            path.parent, f"*{_PARTIAL}", but=part
        )  # Left by processes that were killed.
        write(part)
        # Before the rename: after a crash of the machine the name would else stand for no bytes.
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        _warn_once(str(path.parent.parent), error.strerror or str(error))
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _remove_abandoned(folder: Path, pattern: str, but: Path) -> None:
    """Remove files older than `ABANDONED_SECONDS`, except one."""
    for path in folder.glob(pattern):
        with contextlib.suppress(OSError):  # Another process was faster.
            if path != but and time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                path.unlink()


@functools.cache
def _warn_once(folder: str, why: str) -> None:
    # `functools.cache`: once per process and folder, not once per file.
    logging.getLogger(__name__).warning(
        "%s can't be written (%s); feature files are read anew each time. "
        "Set %s to another folder, or to 'off'.", folder, why, VARIABLE,
    )  # fmt: skip


@functools.cache
def _code_digest() -> str:
    """Return a digest of the sources that turn files into data sets."""
    return _hash_texts(
        *(path.read_text("utf-8") for path in sorted(Path(__file__).parent.glob("*.py")))
    )


def _hash_texts(*parts: str) -> str:
    digest = hashlib.sha256()
    for part in parts:
        # With its length, so that ("ab", "c") and ("a", "bc") differ.
        digest.update(f"{len(part)}:{part}".encode(errors="surrogateescape"))
    return digest.hexdigest()[:32]
