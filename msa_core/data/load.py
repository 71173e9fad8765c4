"""Loading of data: a file or a recipe becomes a checked `Dataset`."""

from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

from msa_core.config.planted import PlantedConfig
from msa_core.data.cache import load_cached
from msa_core.data.dataset import Dataset
from msa_core.data.layout import KEYS, TEXT_KEYS, SplitValues, to_dataset
from msa_core.data.mmsa import read_mmsa
from msa_core.data.npz_and_safetensors import read_npz, read_safetensors
from msa_core.data.planted import SCHEME, generate_planted
from spaces.core import DataError
from spaces.fields.paths import did_you_mean

READERS: dict[str, Callable[[Path, Collection[str]], SplitValues]] = {
    ".pkl": read_mmsa,
    ".pickle": read_mmsa,
    ".npz": read_npz,
    ".safetensors": read_safetensors,
}


def load_dataset(
    source: Path | PlantedConfig, scheme: str, text_model: Path | None = None
) -> Dataset:
    """Read a feature file, or generate the planted data.

    A file is converted once and then opened from the cache (`msa_core.data.cache`), with its
    features read-only.

    Args:
        source: File whose suffix is a key of `READERS`, or the recipe of generated data.
        scheme: Key of `LABEL_SCHEMES`; generated data have the `mosi` labels.
        text_model: Folder of a language model that makes the text features from the file's
            `raw_text` or `text_bert` (`msa_core.data.frozen_text`).

    Raises:
        DataError: No such file, an unknown format, or anything wrong in its contents.
        ConfigError: The shares of the generated label do not add up to 1.
    """
    if isinstance(source, PlantedConfig):
        if scheme != SCHEME:
            raise DataError(
                f"planted data have '{SCHEME}' labels, but '{scheme}' was asked for; "
                f"set 'data.labels' to '{SCHEME}'"
            )
        if text_model is not None:
            raise DataError("planted data have no text for 'data.text_model' to read; leave it out")
        return generate_planted(source)
    _check_file(source)
    try:
        return load_cached(
            source, scheme, partial(_read_file, source, scheme, text_model), text_model
        )
    # Of the file itself: a cache that can't be written only warns.
    except OSError as error:
        raise DataError(f"{source}: cannot be opened: {error.strerror or error}") from error
    except MemoryError as error:
        why = f" ({error})" if str(error) else ""
        raise DataError(f"{source}: does not fit into the memory of this machine{why}") from error


def _read_file(path: Path, scheme: str, text_model: Path | None) -> Dataset:
    read = READERS[path.suffix.lower()]
    if text_model is None:
        return to_dataset(path.name, scheme, read(path, KEYS))
    from msa_core.data.frozen_text import with_encoded_text  # Brings torch along.

    splits = read(path, (*KEYS, *TEXT_KEYS))
    return to_dataset(path.name, scheme, with_encoded_text(path.name, splits, text_model))


def _check_file(path: Path) -> None:
    formats = ", ".join(READERS)
    if path.is_dir():
        inside = [file.name for file in sorted(path.iterdir()) if file.suffix.lower() in READERS]
        found = f"it has {', '.join(inside)}" if inside else "it has none"
        raise DataError(f"{path}: a folder; name one feature file ({formats}) in it: {found}")
    if not path.exists():
        beside = sorted(path.parent.iterdir()) if path.parent.is_dir() else []
        hint = did_you_mean(path.name, [file.name for file in beside])
        raise DataError(f"{path}: no such file (looked for {path.absolute()}){hint}")
    # Reading a pipe or a device might never end.
    if not path.is_file():
        raise DataError(f"{path}: no regular file; copy what it gives into one")
    if path.suffix.lower() not in READERS:
        raise DataError(
            f"{path}: unknown format '{path.suffix}'; feature files end in {formats}"
            f"{did_you_mean(path.suffix, READERS)}"
        )
