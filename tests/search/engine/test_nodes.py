"""How many workers a cluster has room for, and what each of them gets."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.engine.nodes import (
    BYTES_BESIDE_A_GPU,
    MOST_ON_A_GPU,
    ClusterNode,
    NodeWatch,
    autoscaled_kinds,
    choose_resources,
    node_of,
    this_machine,
)
from search.errors import RunError
from tests.cases.paths import REPOSITORY

GB = 1024**3
CLUSTER = REPOSITORY / "cluster.yaml"


def gpu_node(cores: float = 16, gpus: float = 1, memory: int = 128 * GB) -> ClusterNode:
    return ClusterNode(cores=cores, gpus=gpus, memory=memory)


@pytest.mark.parametrize(
    ("node", "share", "workers"),
    [
        (ClusterNode(cores=2, memory=20 * GB), 0, 2),
        (gpu_node(), 1 / 4, 4),
        (gpu_node(cores=3), 1 / 3, 3),
        (gpu_node(cores=1), 1, 1),
        (gpu_node(cores=96, gpus=8, memory=1024 * GB), 1 / 4, 32),
        (gpu_node(cores=8, gpus=4), 1 / 2, 8),
        (gpu_node(cores=2, gpus=4), 1, 2),
        (gpu_node(memory=9 * GB), 1 / 2, 2),
        (gpu_node(memory=1 * GB), 1, 1),
        (gpu_node(memory=0), 1 / 4, 4),
    ],
)
def test_the_automatic_share_gives_every_worker_a_core_and_memory(
    node: ClusterNode, share: float, workers: int
) -> None:
    chosen = choose_resources([node])
    assert (chosen.gpus_a_worker, chosen.workers) == (share, workers)
    assert chosen.device == ("cuda" if share else "cpu")


def test_what_a_user_says_is_taken() -> None:
    assert choose_resources([gpu_node()], gpus_a_worker=0.5).workers == 2
    assert choose_resources([gpu_node()], gpus_a_worker=0).workers == 16
    assert choose_resources([gpu_node()], gpus_a_worker=0, workers=3).workers == 3
    assert choose_resources([gpu_node(gpus=4)], gpus_a_worker=2).workers == 2


def test_a_share_is_of_one_gpu_so_two_halves_of_two_do_not_add_up() -> None:
    assert choose_resources([gpu_node(gpus=2)], gpus_a_worker=0.4).workers == 4


def test_nodes_that_are_gone_have_no_room() -> None:
    gone = ClusterNode(cores=8, gpus=2, alive=False)
    assert choose_resources([ClusterNode(cores=2), gone]).workers == 2


def test_a_head_without_cores_is_no_worker() -> None:
    assert choose_resources([ClusterNode(cores=0), ClusterNode(cores=16)]).workers == 16


def test_workers_that_an_autoscaler_brings_count_up_to_its_limit() -> None:
    kinds = [ClusterNode(cores=16, most=4), ClusterNode(cores=8, most=2)]
    chosen = choose_resources([ClusterNode(cores=0)], kinds=kinds)
    assert (chosen.workers, chosen.now) == (4 * 16 + 2 * 8, 0)
    assert choose_resources([ClusterNode(cores=0)], kinds=kinds, most_nodes=5).workers == 4 * 16 + 8
    assert choose_resources([ClusterNode(cores=0)], kinds=kinds, workers=20).workers == 20
    assert "the autoscaler brings the others" in chosen.describe()
    assert "autoscaler" not in choose_resources([ClusterNode(cores=4)]).describe()


def test_gpus_that_are_to_come_decide_the_share_already() -> None:
    chosen = choose_resources([ClusterNode(cores=0)], kinds=[ClusterNode(cores=8, gpus=1, most=3)])
    assert (chosen.gpus_a_worker, chosen.workers) == (1 / 4, 12)


@pytest.mark.parametrize(
    ("nodes", "share", "message"),
    [
        ([ClusterNode(cores=4)], 0.25, "Ray sees none"),
        ([ClusterNode(cores=0)], None, "no node has a core"),
        ([gpu_node(gpus=1)], 2, "no node has a core and 2 GPU"),
        ([], None, "0 nodes"),
    ],
)
def test_no_room_is_said_with_what_there_is(
    nodes: Sequence[ClusterNode], share: float | None, message: str
) -> None:
    with pytest.raises(RunError, match=message):
        choose_resources(nodes, gpus_a_worker=share)


@given(
    st.lists(
        st.builds(
            ClusterNode,
            cores=st.integers(1, 200),
            gpus=st.integers(0, 16),
            memory=st.integers(0, 2048).map(lambda number: number * GB),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_an_automatic_choice_never_asks_for_more_than_there_is(nodes: list[ClusterNode]) -> None:
    chosen = choose_resources(nodes)
    assert 1 <= chosen.workers <= sum(node.cores for node in nodes)
    if chosen.gpus_a_worker:
        assert chosen.workers * chosen.gpus_a_worker <= sum(node.gpus for node in nodes) + 1e-9
        a_gpu = round(1 / chosen.gpus_a_worker)
        assert a_gpu <= MOST_ON_A_GPU
        for node in nodes:
            if node.gpus and node.memory and a_gpu > 1:
                assert a_gpu * node.gpus * BYTES_BESIDE_A_GPU <= node.memory
                assert a_gpu * node.gpus <= node.cores
    elif chosen.memory:
        assert chosen.memory <= max(node.memory for node in nodes)


def test_a_watch_tells_who_came_and_who_was_lost_once() -> None:
    first = ClusterNode(cores=1, name="a", key="1")
    second = ClusterNode(cores=1, name="b", key="2")
    now = [first, second]
    watch = NodeWatch(lambda: now)
    assert watch.poll() == ((), ())
    # The same host again is another node.
    now = [
        first,
        ClusterNode(cores=1, name="b", key="2", alive=False),
        ClusterNode(cores=1, name="b", key="3"),
    ]
    assert watch.poll() == (("b",), ("b",))
    assert watch.poll() == ((), ())


def test_a_node_that_left_in_order_is_not_lost() -> None:
    now = [ClusterNode(cores=1, name="a", key="1")]
    watch = NodeWatch(lambda: now)
    now = [ClusterNode(cores=1, name="a", key="1", alive=False, in_order=True)]
    assert watch.poll() == ((), ())


def test_a_node_is_read_as_ray_describes_it() -> None:
    description = {
        "NodeID": "ab",
        "Alive": False,
        "NodeManagerAddress": "10.0.0.2",
        "Resources": {"CPU": 4.0, "GPU": 1.0, "memory": 2.0},
        "DeathReason": 2,
    }
    assert node_of(description) == ClusterNode(
        cores=4, gpus=1, memory=2, name="10.0.0.2", key="ab", alive=False
    )
    assert node_of({"NodeID": "cd", "Alive": False, "DeathReason": 4}).in_order


def test_the_kinds_of_the_shipped_cluster_are_read() -> None:
    kinds, most = autoscaled_kinds(CLUSTER)
    assert most is not None
    assert {kind.name for kind in kinds} == {"cpu_worker", "gpu_worker"}
    assert all(kind.most > 0 and kind.cores > 0 for kind in kinds)
    assert choose_resources([ClusterNode(cores=0)], kinds=kinds, most_nodes=most).device == "cuda"


def test_a_head_that_ray_up_did_not_make_has_no_autoscaler(tmp_path: Path) -> None:
    assert autoscaled_kinds(tmp_path / "none.yaml") == ([], None)


def test_this_machine_has_a_core() -> None:
    assert this_machine().cores >= 1
