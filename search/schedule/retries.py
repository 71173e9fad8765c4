"""The rule for lost packs: train them once more, in halves, or give them up."""

from collections.abc import Collection
from dataclasses import replace

from search.schedule.pack import Pack, PackCell
from spaces.failures import FailureKind

NODE_LOSSES = 5  # per cells: spot nodes come and go, and that is no fault of the cells
LOSSES = 2  # of cells that are compared while they train, and so can't be split
# Of one cell: the memory monitor may have ended its worker for the memory that another one needed.
LOSSES_ALONE = 3


def packs_to_retry(pack: Pack, kind: FailureKind, finished: Collection[str]) -> list[Pack]:
    """Return the packs that train again what a lost one leaves.

    A pack that was lost with its node stays as it is. One whose worker died, ran out of memory or
    hung is split in halves: half needs half the memory, and a guilty cell is found by halving.
    Candidates that are compared while they train stay together, in smaller steps. The numbers of a
    cell are the same in all of them.

    Args:
        pack: Pack that was lost.
        kind: Kind of the failure.
        finished: Keys of its cells that are in the ledger.

    Returns:
        No pack where another try is no use.
    """
    left = tuple(cell for cell in pack.cells if cell.key not in finished)
    if not left:
        return []
    if kind == FailureKind.LOST_NODE:
        return [_retry_together(pack, left, pack.size)] if pack.losses < NODE_LOSSES else []
    if pack.scheduler == "none" and len(left) > 1:
        middle = (len(left) + 1) // 2
        return [_retry_part(pack, half) for half in (left[:middle], left[middle:])]
    if len(left) == 1 and kind in (FailureKind.EXCEPTION, FailureKind.TIMEOUT):
        return []  # it would do the same again
    most = LOSSES_ALONE if len(left) == 1 else LOSSES
    size = max(1, (pack.size or len(left)) // 2)
    return [_retry_together(pack, left, size)] if pack.losses < most else []


def _retry_together(pack: Pack, cells: tuple[PackCell, ...], size: int | None) -> Pack:
    """Return a pack of the same cells, with a limit on the members in one step."""
    return replace(pack, cells=cells, size=size, attempts=pack.attempts + 1, losses=pack.losses + 1)


def _retry_part(pack: Pack, cells: tuple[PackCell, ...]) -> Pack:
    """Return a pack of some of the cells, with their share of the pack's seconds."""
    return replace(
        pack,
        cells=cells,
        size=min(pack.size or len(cells), len(cells)),
        seconds=None if pack.seconds is None else pack.seconds * len(cells) / len(pack.cells),
        attempts=pack.attempts + 1,
        losses=0,
    )
