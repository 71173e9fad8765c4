"""What a cluster's nodes have, and what a worker gets of it.

The choice is made from plain values; `ray_nodes`, `autoscaled` and `this_machine` read them.
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
class Node:
    """A machine that can train, or, with `most` above 1, a kind that an autoscaler can bring.

    Attributes:
        cores, gpus: as Ray counts them.
        memory: bytes of main memory; 0 = unknown.
        name: for people, its address.
        key: no other node, before or after, has it.
        alive: whether Ray can use it.
        most: how many of them there may be.
        in_order: of one that is gone: it left because it had nothing to do, or was asked to.
    """

    cores: float
    gpus: float = 0.0
    memory: int = 0
    name: str = ""
    key: str = ""
    alive: bool = True
    most: int = 1
    in_order: bool = False

    def slots(self, gpus_a_worker: float) -> int:
        """Workers that it has room for."""
        by_core = floor(self.cores)
        if not gpus_a_worker:
            return by_core
        if gpus_a_worker > 1:
            return min(by_core, floor(self.gpus / gpus_a_worker))
        # A worker gets its share of one GPU, never of two.
        return min(by_core, floor(self.gpus) * floor(1 / gpus_a_worker))


@dataclass(frozen=True, kw_only=True, slots=True)
class Resources:
    """What the workers of a run get.

    Attributes:
        workers: packs trained at once, when all nodes are there.
        now: those that there is room for already; an autoscaler brings the others.
        gpus_a_worker: share of a GPU that a worker holds; 0 = it trains on the CPU.
        memory: bytes of main memory for each; 0 = unknown.
    """

    workers: int
    now: int
    gpus_a_worker: float
    memory: int

    @property
    def device(self) -> str:
        """Where the workers train."""
        return "cuda" if self.gpus_a_worker else "cpu"

    def sentence(self) -> str:
        """For the first line of a run."""
        plural = "" if self.workers == 1 else "s"
        share = f"{self.gpus_a_worker:.3g} of a GPU" if self.gpus_a_worker < 1 else "GPUs"
        if self.gpus_a_worker >= 1:
            share = "a GPU" if self.gpus_a_worker == 1 else f"{self.gpus_a_worker:g} GPUs"
        each = f"with {share} each" if self.gpus_a_worker else "on the CPU"
        coming = f"; {self.now} now, the autoscaler brings the others"
        return f"{self.workers} worker{plural} {each}{coming if self.now < self.workers else ''}"


def choose(
    nodes: Sequence[Node],
    *,
    gpus_a_worker: float | None = None,
    workers: int | None = None,
    kinds: Sequence[Node] = (),
    most_nodes: int | None = None,
) -> Resources:
    """Decide what a worker gets, and how many there are.

    Args:
        nodes: of the cluster, or this machine.
        gpus_a_worker: share of a GPU; None = automatic: the largest number of workers a GPU for
            which every one has a core and memory, at most `MOST_ON_A_GPU`; without GPUs the CPU.
        workers: as many as this and no more; None = as many as there is room for.
        kinds: what an autoscaler can bring.
        most_nodes: that it brings of all kinds together; None = no such limit.

    Raises:
        RunError: there is no room for a single worker.
    """
    there = [node for node in nodes if node.alive]
    all_of_them = [*there, *kinds]
    share = _automatic_share(all_of_them) if gpus_a_worker is None else gpus_a_worker
    now = sum(node.slots(share) for node in there)
    room = max(now, _brought(kinds, share, most_nodes))
    if not room:
        raise RunError(_no_room(all_of_them, share))
    count = room if workers is None else min(workers, room)
    return Resources(
        workers=count,
        now=min(now, count),
        gpus_a_worker=share,
        memory=_memory_a_worker(all_of_them, share, count if len(all_of_them) == 1 else None),
    )


def _automatic_share(nodes: Iterable[Node]) -> float:
    """The same for all: Tune's trials differ in what they do, not in what they hold."""
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


def _brought(kinds: Sequence[Node], share: float, most_nodes: int | None) -> int:
    """Workers on all the nodes that an autoscaler may bring, the roomiest kinds first."""
    left = sum(kind.most for kind in kinds) if most_nodes is None else most_nodes
    room = 0
    for kind in sorted(kinds, key=lambda kind: -kind.slots(share)):
        count = min(kind.most, left)
        room += count * kind.slots(share)
        left -= count
    return room


def _memory_a_worker(nodes: Iterable[Node], share: float, count: int | None) -> int:
    """Of the node on which it is scarcest."""
    known = [node for node in nodes if node.memory and node.slots(share)]
    return min((int(node.memory / (count or node.slots(share))) for node in known), default=0)


def _no_room(nodes: Sequence[Node], share: float) -> str:
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
    """Notices nodes that come and go."""

    def __init__(self, read: Callable[[], Sequence[Node]] | None = None) -> None:
        """Watch from now on.

        Args:
            read: the nodes as they are; None = Ray's.
        """
        self._read = read or ray_nodes
        self._alive = {node.key for node in self._read() if node.alive}

    def poll(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names of the nodes that joined, and of those that were lost, since the last time.

        A node that an autoscaler took away because it was idle is not lost.
        """
        nodes = {node.key: node for node in self._read()}
        alive = {key for key, node in nodes.items() if node.alive}
        joined = tuple(nodes[key].name for key in sorted(alive - self._alive))
        gone = [nodes[key] for key in sorted(self._alive - alive) if key in nodes]
        self._alive = alive
        return joined, tuple(node.name for node in gone if not node.in_order)


def ray_nodes() -> list[Node]:
    """The nodes of the cluster that this process is connected to, dead ones included."""
    import ray

    return [node_of(description) for description in ray.nodes()]


def node_of(description: Mapping[str, Any]) -> Node:
    """A node as `ray.nodes()` describes it."""
    has = description.get("Resources") or {}
    return Node(
        cores=float(has.get("CPU", 0)),
        gpus=float(has.get("GPU", 0)),
        memory=int(has.get("memory", 0)),
        name=str(description.get("NodeManagerAddress", "")),
        key=str(description.get("NodeID", "")),
        alive=bool(description.get("Alive", False)),
        in_order=description.get("DeathReason") in LEFT_IN_ORDER,
    )


def autoscaled(path: Path | None = None) -> tuple[list[Node], int | None]:
    """The kinds of nodes that the autoscaler of this head may bring, and how many in all.

    Args:
        path: of the cluster's file; None = where `ray up` puts it on the head. A kind counts as
            far as the file states its `resources`.
    """
    path = (path or BOOTSTRAP).expanduser()
    if not path.is_file():
        return [], None
    from ruamel.yaml import YAML

    cluster = YAML(typ="safe").load(path.read_text(encoding="utf-8")) or {}
    head = cluster.get("head_node_type")
    kinds = [
        Node(
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
    """What a run would get, on this machine or on a cluster; nothing is started here.

    Args:
        address: of a cluster; None = this machine.
        workers: packs at once; None = as many as there is room for.
        gpus_a_worker: as for `choose`.

    Raises:
        ConnectionError: no cluster at the address.
        RunError: there is no room for a worker.
    """
    if address is None:
        machine = this_machine()
        # Here a user may ask for more workers than there are cores.
        machine = replace(machine, cores=workers or machine.cores)
        return choose([machine], gpus_a_worker=gpus_a_worker)
    import ray

    ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    try:
        return cluster_resources(workers, gpus_a_worker)
    finally:
        ray.shutdown()


def cluster_resources(workers: int | None, gpus_a_worker: float | None) -> Resources:
    """What the workers get of the cluster that this process is connected to.

    Raises:
        RunError: there is no room for a worker.
    """
    kinds, most_nodes = autoscaled()
    return choose(
        ray_nodes(),
        gpus_a_worker=gpus_a_worker,
        workers=workers,
        kinds=kinds,
        most_nodes=most_nodes,
    )


def this_machine() -> Node:
    """This machine, without asking Ray or PyTorch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = len(list(Path("/proc/driver/nvidia/gpus").glob("*")))
    if visible is not None:
        gpus = min(gpus, len([one for one in visible.split(",") if one.strip() not in ("", "-1")]))
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        memory = 0
    return Node(cores=os.cpu_count() or 1, gpus=gpus, memory=memory, name="this machine")
