"""The targets of `triptych reproduce`: rows by names of arms, cells by their keys."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from search.ledger.record import CellRecord
from search.results.folder import Manifest, select_cells
from spaces.errors import StudyError
from spaces.fields.paths import did_you_mean
from spaces.plan.plan import Phase

SHORTEST = 6  # characters of a key that name a cell
MOST_SHOWN = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Targets:
    """The rows and cells to be trained again.

    Attributes:
        rows: Arm -> keys of its confirm cells, by seed.
        cells: Keys of the cells that were named one by one, in that order.
    """

    rows: Mapping[str, tuple[str, ...]]
    cells: tuple[str, ...]

    @property
    def keys(self) -> list[str]:
        """Keys of all cells, each once."""
        return list(dict.fromkeys([*(key for row in self.rows.values() for key in row),
                                   *self.cells]))  # fmt: skip


def find_targets(
    manifest: Manifest, records: Mapping[str, CellRecord], names: Iterable[str]
) -> Targets:
    """Find the rows and cells that some names mean.

    Args:
        manifest: Manifest of the results folder.
        records: Its finished cells.
        names: Names of arms, or keys of cells or how those begin.

    Raises:
        StudyError: a name that means nothing, or more than one cell.
    """
    rows: dict[str, tuple[str, ...]] = {}
    cells: list[str] = []
    confirmed = [r for r in select_cells(manifest, records) if r.phase == Phase.CONFIRM]
    for name in names:
        if name in manifest.facts.arms:
            own = sorted((r for r in confirmed if r.arm == name), key=lambda r: r.seed)
            if not own:
                raise StudyError(f"'{name}': no confirm cell of this arm is finished yet")
            rows[name] = tuple(record.key for record in own)
        else:
            cells.append(_find_cell(name, manifest.facts.arms, records))
    return Targets(rows=rows, cells=tuple(dict.fromkeys(cells)))


def _find_cell(name: str, arms: Sequence[str], records: Mapping[str, CellRecord]) -> str:
    if name in records:
        return name
    found = [key for key in records if key.startswith(name)] if name else []
    # A short beginning is most likely a typing error, even where only one cell has it.
    if len(name) < SHORTEST and found:
        raise StudyError(
            f"'{name}': too short for a cell; give at least {SHORTEST} characters of its key, "
            f"e.g. {found[0][: SHORTEST + 2]}"
        )
    if len(found) > 1:
        more = f" and {len(found) - MOST_SHOWN} more" if len(found) > MOST_SHOWN else ""
        raise StudyError(
            f"'{name}': {len(found)} cells begin so ({', '.join(found[:MOST_SHOWN])}{more}); "
            "give more of the key"
        )
    if not found:
        raise StudyError(
            f"'{name}': neither an arm of the study nor how the key of a finished cell begins"
            f"{did_you_mean(name, arms)}; arms are {', '.join(arms[:MOST_SHOWN])}"
            f"{', ...' if len(arms) > MOST_SHOWN else ''}; keys are in report/cells.csv"
        )
    return found[0]
