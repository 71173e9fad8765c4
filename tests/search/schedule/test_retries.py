"""What is trained again of a pack that was lost."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.schedule.pack import Pack, PackCell
from search.schedule.retries import LOSSES_ALONE, NODE_LOSSES, packs_to_retry
from spaces.failures import FailureKind


def pack_of(cells: int, **more: object) -> Pack:
    made = tuple(
        PackCell(
            candidate=place,
            seed=0,
            params={},
            config={},
            resolved={},
            key=f"k{place}",
            pack_key="p",
        )
        for place in range(cells)
    )
    pack = Pack(
        arm="a",
        arm_key="a",
        phase="tune",
        cells=made,
        pack_key="p",
        size=None,
        scheduler="none",
        metric="mae",
        higher_is_better=False,
    )
    return replace(pack, **more)


def keys(packs: list[Pack]) -> list[list[str]]:
    return [[cell.key for cell in pack.cells] for pack in packs]


def all_keys(packs: list[Pack]) -> list[str]:
    return sorted(key for of_one in keys(packs) for key in of_one)


@pytest.mark.parametrize(
    "kind",
    [
        FailureKind.LOST_WORKER,
        FailureKind.OUT_OF_MEMORY,
        FailureKind.TIMEOUT,
        FailureKind.EXCEPTION,
    ],
)
def test_what_a_cell_may_have_done_is_found_by_halving(kind: str) -> None:
    parts = packs_to_retry(pack_of(5), kind, {"k1"})
    assert keys(parts) == [["k0", "k2"], ["k3", "k4"]]
    assert {part.attempts for part in parts} == {2}
    assert {part.size for part in parts} == {2}


def test_a_lost_node_is_no_fault_of_the_pack() -> None:
    pack, times = pack_of(4), 0
    while parts := packs_to_retry(pack, FailureKind.LOST_NODE, set()):
        (pack,), times = parts, times + 1
        assert len(pack.cells) == 4
        assert pack.attempts == times + 1
    assert times == NODE_LOSSES


def test_candidates_that_are_compared_stay_together_in_smaller_steps() -> None:
    pack, sizes = pack_of(9, scheduler="bracket"), []
    while parts := packs_to_retry(pack, FailureKind.OUT_OF_MEMORY, set()):
        (pack,) = parts
        assert len(pack.cells) == 9
        sizes.append(pack.size)
    assert sizes == [4, 2]


def test_the_halves_share_the_seconds_of_the_pack() -> None:
    parts = packs_to_retry(pack_of(3, seconds=30.0), FailureKind.LOST_WORKER, set())
    assert [part.seconds for part in parts] == [20.0, 10.0]


@given(
    st.integers(1, 40), st.sampled_from(FailureKind), st.sampled_from(["none", "bracket", "asha"])
)
def test_it_comes_to_an_end_and_forgets_no_cell(cells: int, kind: str, scheduler: str) -> None:
    """However often it fails: every cell is given up in the end, and none before its turn."""
    given_up: list[str] = []
    waiting, handed_out = [pack_of(cells, scheduler=scheduler)], 0
    while waiting:
        pack = waiting.pop()
        handed_out += 1
        parts = packs_to_retry(pack, kind, set())
        assert all_keys(parts) in ([], all_keys([pack]))
        waiting += parts
        given_up += [] if parts else [cell.key for cell in pack.cells]
    assert sorted(given_up) == sorted(f"k{place}" for place in range(cells))
    assert handed_out <= (LOSSES_ALONE + 3) * cells + NODE_LOSSES


@given(st.integers(1, 20), st.data())
def test_what_is_finished_is_not_trained_again(cells: int, data: st.DataObject) -> None:
    pack = pack_of(cells)
    finished = data.draw(st.sets(st.sampled_from([cell.key for cell in pack.cells])))
    for kind in FailureKind:
        assert not finished & set(all_keys(packs_to_retry(pack, kind, finished)))
