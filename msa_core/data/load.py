"""The front door of the data: a file or a recipe becomes a checked `Dataset`."""

from collections.abc import Callable
from pathlib import Path

from msa_core.config import PlantedConfig
from msa_core.config_paths import nearest
from msa_core.data.arrays import read_npz
from msa_core.data.dataset import DataError, Dataset
from msa_core.data.mmsa import read_mmsa
from msa_core.data.planted import SCHEME, planted

READERS: dict[str, Callable[[Path, str], Dataset]] = {
    ".pkl": read_mmsa,
    ".pickle": read_mmsa,
    ".npz": read_npz,
}


def load_dataset(source: Path | PlantedConfig, scheme: str) -> Dataset:
    """Read a feature file, or generate the planted data.

    Args:
        source: a file whose suffix is a key of `READERS`, or how to generate data.
        scheme: a key of `LABEL_SCHEMES`; generated data have the `mosi` labels.

    Raises:
        DataError: no such file, an unknown format, or anything wrong in its contents.
        ConfigError: the shares of the generated label do not add up to 1.
    """
    if isinstance(source, PlantedConfig):
        if scheme != SCHEME:
            raise DataError(
                f"planted data have '{SCHEME}' labels, but '{scheme}' was asked for; "
                f"set 'data.labels' to '{SCHEME}'"
            )
        return planted(source)
    _check_file(source)
    try:
        return READERS[source.suffix.lower()](source, scheme)
    except OSError as error:
        raise DataError(f"{source}: cannot be opened: {error.strerror or error}") from error


def _check_file(path: Path) -> None:
    formats = ", ".join(READERS)
    if path.is_dir():
        inside = [file.name for file in sorted(path.iterdir()) if file.suffix.lower() in READERS]
        found = f"it has {', '.join(inside)}" if inside else "it has none"
        raise DataError(f"{path}: a folder; name one feature file ({formats}) in it: {found}")
    if not path.exists():
        beside = sorted(path.parent.iterdir()) if path.parent.is_dir() else []
        hint = nearest(path.name, [file.name for file in beside])
        raise DataError(f"{path}: no such file (looked for {path.absolute()}){hint}")
    if path.suffix.lower() not in READERS:
        raise DataError(
            f"{path}: unknown format '{path.suffix}'; feature files end in {formats}"
            f"{nearest(path.suffix, READERS)}"
        )
