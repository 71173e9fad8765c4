"""What becomes of a pack that came back without its cells: once more, in halves, or given up."""

from collections.abc import Collection
from dataclasses import replace

from msa_core.training.failures import EXCEPTION, TIMEOUT
from search.schedule.failures import LOST_NODE
from search.schedule.pack import Pack, PackCell

NODE_LOSSES = 5  # of the same cells: spot nodes come and go, and it is no fault of a cell's
LOSSES = 2  # of cells that are compared while they train, and so can't be divided
LOSSES_ALONE = 3  # of one cell: it may have been killed for what another one beside it needed


def parts_after(pack: Pack, kind: str, finished: Collection[str]) -> list[Pack]:
    """The packs that train again what a lost one leaves.

    A pack that was lost with its node goes as it is. Of one whose worker died, ran out of memory or
    hung, each half goes by itself: half needs half the memory, and a cell that does it is found by
    halving. Candidates that are compared while they train stay together, in smaller steps. The
    numbers of a cell are the same in all of them.

    Args:
        pack: that was lost.
        kind: of the failure, one of `search.schedule.failures.KINDS`.
        finished: keys of its cells that are in the ledger.

    Returns:
        Nothing where trying again is no use.
    """
    left = tuple(cell for cell in pack.cells if cell.key not in finished)
    if not left:
        return []
    if kind == LOST_NODE:
        return [_again(pack, left, pack.size)] if pack.losses < NODE_LOSSES else []
    if pack.scheduler == "none" and len(left) > 1:
        middle = (len(left) + 1) // 2
        return [_part(pack, half) for half in (left[:middle], left[middle:])]
    if len(left) == 1 and kind in (EXCEPTION, TIMEOUT):
        return []  # it would do the same again
    most = LOSSES_ALONE if len(left) == 1 else LOSSES
    size = max(1, (pack.size or len(left)) // 2)
    return [_again(pack, left, size)] if pack.losses < most else []


def _again(pack: Pack, cells: tuple[PackCell, ...], size: int | None) -> Pack:
    """The same cells once more, at most so many in one step."""
    return replace(pack, cells=cells, size=size, attempts=pack.attempts + 1, losses=pack.losses + 1)


def _part(pack: Pack, cells: tuple[PackCell, ...]) -> Pack:
    """Some of the cells by themselves, with their share of the pack's seconds."""
    return replace(
        pack,
        cells=cells,
        size=min(pack.size or len(cells), len(cells)),
        seconds=None if pack.seconds is None else pack.seconds * len(cells) / len(pack.cells),
        attempts=pack.attempts + 1,
        losses=0,
    )
