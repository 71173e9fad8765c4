"""The nodes of a cluster, and what a worker gets of them.

The choice is made from plain values; `ray_nodes`, `autoscaled_kinds` and `this_machine` read them.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import floor
from pathlib import Path
from typing import Any

from search.errors import RunError

# Ray launches `ray up` clusters with a copy of their file on the head.
BOOTSTRAP = Path("~/ray_bootstrap_config.yaml")
# More processes on a GPU than this wait for each other: a pack fills much of it by itself.
MOST_ON_A_GPU = 4
# A process with CUDA, the packs it holds and their results, in main memory.
BYTES_BESIDE_A_GPU = 4 * 1024**3
# Of Ray's reasons for a node's end: its idle time was over, or it was shut down in order.
LEFT_IN_ORDER = (1, 4)


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterNode:
    """A machine that can train, or, with `most` above 1, a kind that an autoscaler can bring.

    Attributes:
        cores, gpus: Number of cores and of GPUs, as Ray counts them.
        memory: Main memory in bytes; 0 = unknown.
        name: Address, for messages.
        key: Identity, which no other node, before or after, has.
        alive: Whether Ray can use it.
        most: Largest number of nodes of this kind.
        in_order: Whether a node that is gone left because it was idle, or was asked to.
    """

    cores: float
    gpus: float = 0.0
    memory: int = 0
    name: str = ""
    key: str = ""
    alive: bool = True
    most: int = 1
    in_order: bool = False

    def worker_slots(self, gpus_a_worker: float) -> int:
        """Return the number of workers that the node has room for."""
        by_core = floor(self.cores)
        if not gpus_a_worker:
            return by_core
        if gpus_a_worker > 1:
            return min(by_core, floor(self.gpus / gpus_a_worker))
        # A worker gets its share of one GPU, never of two.
        return min(by_core, floor(self.gpus) * floor(1 / gpus_a_worker))


@dataclass(frozen=True, kw_only=True, slots=True)
class Resources:
    """The resources of the workers of a run.

    Attributes:
        workers: Number of packs trained at once, when all nodes are there.
        now: Number of workers that there is room for already; an autoscaler brings the others.
        gpus_a_worker: Share of a GPU that a worker holds; 0 = it trains on the CPU.
        memory: Main memory per worker in bytes; 0 = unknown.
    """

    workers: int
    now: int
    gpus_a_worker: float
    memory: int

    @property
    def device(self) -> str:
        """Kind of device on which the workers train."""
        return "cuda" if self.gpus_a_worker else "cpu"

    def describe(self) -> str:
        """Describe the resources, for the first line of a run."""
        plural = "" if self.workers == 1 else "s"
        share = f"{self.gpus_a_worker:.3g} of a GPU" if self.gpus_a_worker < 1 else "GPUs"
        if self.gpus_a_worker >= 1:
            share = "a GPU" if self.gpus_a_worker == 1 else f"{self.gpus_a_worker:g} GPUs"
        each = f"with {share} each" if self.gpus_a_worker else "on the CPU"
        coming = f"; {self.now} now, the autoscaler brings the others"
        return f"{self.workers} worker{plural} {each}{coming if self.now < self.workers else ''}"


def choose_resources(
    nodes: Sequence[ClusterNode],
    *,
    gpus_a_worker: float | None = None,
    workers: int | None = None,
    kinds: Sequence[ClusterNode] = (),
    most_nodes: int | None = None,
) -> Resources:
    """Decide what a worker gets, and how many there are.

    Args:
        nodes: Nodes of the cluster, or this machine.
        gpus_a_worker: Share of a GPU; None = automatic: the largest number of workers per GPU for
            which every one has a core and memory, at most `MOST_ON_A_GPU`; without GPUs the CPU.
        workers: Largest number of workers; None = as many as there is room for.
        kinds: Kinds of nodes that an autoscaler can bring.
        most_nodes: Largest number of nodes of all kinds together; None = no such limit.

    Raises:
        RunError: there is no room for a single worker.
    """
    there = [node for node in nodes if node.alive]
    all_of_them = [*there, *kinds]
    share = _automatic_share(all_of_them) if gpus_a_worker is None else gpus_a_worker
    now = sum(node.worker_slots(share) for node in there)
    room = max(now, _autoscaled_room(kinds, share, most_nodes))
    if not room:
        raise RunError(_no_room(all_of_them, share))
    count = room if workers is None else min(workers, room)
    return Resources(
        workers=count,
        now=min(now, count),
        gpus_a_worker=share,
        memory=_memory_a_worker(all_of_them, share, count if len(all_of_them) == 1 else None),
    )


def _automatic_share(nodes: Iterable[ClusterNode]) -> float:
    """Return the share of a GPU that fits every node: all of Tune's trials hold the same."""
    a_gpu = [
        max(
            1,
            min(
                MOST_ON_A_GPU,
                floor(node.cores / node.gpus),
                floor(node.memory / node.gpus / BYTES_BESIDE_A_GPU) or 1
                if node.memory
                else MOST_ON_A_GPU,
            ),
        )
        for node in nodes
        if node.gpus >= 1
    ]
    return 1 / min(a_gpu) if a_gpu else 0.0


def _autoscaled_room(kinds: Sequence[ClusterNode], share: float, most_nodes: int | None) -> int:
    """Return the number of workers on all nodes that may come, the roomiest kinds first."""
    left = sum(kind.most for kind in kinds) if most_nodes is None else most_nodes
    room = 0
    for kind in sorted(kinds, key=lambda kind: -kind.worker_slots(share)):
        count = min(kind.most, left)
        room += count * kind.worker_slots(share)
        left -= count
    return room


def _memory_a_worker(nodes: Iterable[ClusterNode], share: float, count: int | None) -> int:
    """Return the memory per worker on the node on which it is scarcest."""
    known = [node for node in nodes if node.memory and node.worker_slots(share)]
    return min(
        (int(node.memory / (count or node.worker_slots(share))) for node in known), default=0
    )


def _no_room(nodes: Sequence[ClusterNode], share: float) -> str:
    gpus = sum(node.gpus * node.most for node in nodes)
    cores = sum(node.cores * node.most for node in nodes)
    if share and not gpus:
        return (
            f"a worker was to hold {share:g} GPU, but Ray sees none; leave --gpus-a-worker out to "
            "train on what is there"
        )
    wanted = f"a core and {share:g} GPU" if share else "a core"
    return (
        f"no node has {wanted} for a worker ({len(nodes)} nodes, {cores:g} cores, {gpus:g} GPUs in "
        "all); add nodes, or give another --gpus-a-worker"
    )


class NodeWatch:
    """A watch over the nodes that join a cluster and that are lost."""

    def __init__(self, read: Callable[[], Sequence[ClusterNode]]) -> None:
        """Watch from now on, with this function that reads the nodes."""
        self._read = read
        self._alive = {node.key for node in self._read() if node.alive}

    def poll(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the names of nodes that joined, and of those that were lost, since the last call.

        A node that an autoscaler took away because it was idle is not lost.
        """
        nodes = {node.key: node for node in self._read()}
        alive = {key for key, node in nodes.items() if node.alive}
        joined = tuple(nodes[key].name for key in sorted(alive - self._alive))
        gone = [nodes[key] for key in sorted(self._alive - alive) if key in nodes]
        self._alive = alive
        return joined, tuple(node.name for node in gone if not node.in_order)


def ray_nodes() -> list[ClusterNode]:
    """Read the nodes of the cluster that this process is connected to, dead ones included."""
    import ray

    return [node_of(description) for description in ray.nodes()]


def node_of(description: Mapping[str, Any]) -> ClusterNode:
    """Make a node of a description by `ray.nodes()`."""
    has = description.get("Resources") or {}
    return ClusterNode(
        cores=float(has.get("CPU", 0)),
        gpus=float(has.get("GPU", 0)),
        memory=int(has.get("memory", 0)),
        name=str(description.get("NodeManagerAddress", "")),
        key=str(description.get("NodeID", "")),
        alive=bool(description.get("Alive", False)),
        in_order=description.get("DeathReason") in LEFT_IN_ORDER,
    )


def autoscaled_kinds(path: Path | None = None) -> tuple[list[ClusterNode], int | None]:
    """Read the kinds of nodes that the autoscaler of this head may bring, and how many in all.

    Args:
        path: Path of the cluster's file; None = where `ray up` puts it on the head. A kind counts
            as far as the file states its `resources`.
    """
    path = (path or BOOTSTRAP).expanduser()
    if not path.is_file():
        return [], None
    from ruamel.yaml import YAML

    cluster = YAML(typ="safe").load(path.read_text(encoding="utf-8")) or {}
    head = cluster.get("head_node_type")
    kinds = [
        ClusterNode(
            cores=float(kind.get("resources", {}).get("CPU", 0)),
            gpus=float(kind.get("resources", {}).get("GPU", 0)),
            memory=int(kind.get("resources", {}).get("memory", 0)),
            name=name,
            most=int(kind.get("max_workers", 0)),
        )
        for name, kind in (cluster.get("available_node_types") or {}).items()
        if name != head and kind.get("max_workers", 0)
    ]
    most = cluster.get("max_workers")
    return kinds, None if most is None else int(most)


def at_hand(
    address: str | None = None, workers: int | None = None, gpus_a_worker: float | None = None
) -> Resources:
    """Return what a run would get, on this machine or on a cluster; nothing is started.

    Args:
        address: Address of a cluster; None = this machine.
        workers: Number of packs at once; None = as many as there is room for.
        gpus_a_worker: Share of a GPU, as for `choose_resources`.

    Raises:
        ConnectionError: no cluster at the address.
        RunError: there is no room for a worker.
    """
    if address is None:
        machine = this_machine()
        # Here a user may ask for more workers than there are cores.
        machine = replace(machine, cores=workers or machine.cores)
        return choose_resources([machine], gpus_a_worker=gpus_a_worker)
    import ray

    ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    try:
        return cluster_resources(workers, gpus_a_worker)
    finally:
        ray.shutdown()


def cluster_resources(workers: int | None, gpus_a_worker: float | None) -> Resources:
    """Return what the workers get of the cluster that this process is connected to.

    Raises:
        RunError: there is no room for a worker.
    """
    kinds, most_nodes = autoscaled_kinds()
    return choose_resources(
        ray_nodes(),
        gpus_a_worker=gpus_a_worker,
        workers=workers,
        kinds=kinds,
        most_nodes=most_nodes,
    )


def this_machine() -> ClusterNode:
    """Describe this machine, without importing Ray or PyTorch."""
    # Set to nothing or -1 it hides every GPU, as it does for PyTorch.
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = len(list(Path("/proc/driver/nvidia/gpus").glob("*")))
    if visible is not None:
        gpus = min(gpus, len([one for one in visible.split(",") if one.strip() not in ("", "-1")]))
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        memory = 0
    return ClusterNode(cores=os.cpu_count() or 1, gpus=gpus, memory=memory, name="this machine")
