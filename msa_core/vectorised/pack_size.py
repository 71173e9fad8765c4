"""The number of members that train in one step, measured briefly on the device at hand."""

import ctypes
import time
from collections.abc import Mapping
from pathlib import Path

import torch

from msa_core.data.prepared import PreparedSplits
from msa_core.vectorised.pack_key import pack_key
from msa_core.vectorised.stack import Stack
from spaces.abilities import PackSize
from spaces.core import Member

LARGEST = {"cpu": 64, "cuda": 256}
STEPS = 4  # timed per size; the fastest counts, since other programs only ever slow one down
# A larger pack is taken if its members are at most this much slower: on a machine that does other
# things too a measurement is wrong by more, and a pack that is too small costs more.
NEARLY_BEST = 1.1
MUCH_SLOWER = 1.25  # than the best; no larger pack is tried after two of these
SECONDS = 3.0  # nor after this
SHARE_USED = 0.8  # of the memory: an epoch may need a little more than the steps measured


def device_name(device: torch.device | str) -> str:
    """Name the device that a measurement holds for."""
    place = torch.device(device)
    return torch.cuda.get_device_name(place) if place.type == "cuda" else place.type


def measure_pack_size(
    member: Member,
    data: PreparedSplits,
    *,
    device: torch.device | str = "cpu",
    most: int | None = None,
    share: int = 0,
) -> PackSize:
    """Try packs of 2, 4, 8, ... members for a few steps each.

    Larger ones are tried while they slow no member down and fit into the share of memory. The
    result decides how fast cells are trained, and none of their numbers.

    Args:
        member: Example of the members; its configuration must be one that packs.
        data: Splits train and valid.
        device: Device to measure on.
        most: Largest number of members that will ever be asked for; None for any.
        share: Memory that may be used, in bytes; 0 for no limit.
    """
    place = torch.device(device)
    largest = min(LARGEST[place.type], max(2, most or LARGEST[place.type]))
    seconds: dict[int, float] = {}
    memory: dict[int, int] = {}
    started, size, worse = time.perf_counter(), 2, 0
    while worse < 2 and time.perf_counter() - started < SECONDS:
        if share and seconds and _peak_bytes(size, memory) > SHARE_USED * share:
            break
        peak = PeakMemory(place)
        members = [Member(member.config, seed) for seed in range(size)]
        try:
            step = Stack(members, data, place, vmapped=True).seconds_per_step(STEPS)
        except (MemoryError, RuntimeError):  # too large; PyTorch has no error of its own on a CPU
            if not seconds:
                raise
            break
        much_slower = seconds and step / size > MUCH_SLOWER * min(seconds.values())
        worse = worse + 1 if much_slower else 0
        seconds[size] = step / size
        used = peak.peak_bytes()
        if used is not None:
            memory[size] = used
        if size == largest:
            break
        size = min(2 * size, largest)
    return PackSize(
        pack_key=pack_key(member.config),
        device=device_name(place),
        size=_choose_size(seconds, memory, share),
        seconds={str(count): value for count, value in seconds.items()},
        memory={str(count): value for count, value in memory.items()},
        share=share,
    )


def _choose_size(seconds: Mapping[int, float], memory: Mapping[int, int], share: int) -> int:
    fitting = [
        size for size in seconds if not share or _peak_bytes(size, memory) <= SHARE_USED * share
    ] or [min(seconds)]
    best = min(seconds[size] for size in fitting)
    return max(size for size in fitting if seconds[size] <= NEARLY_BEST * best)


def _peak_bytes(size: int, memory: Mapping[int, int]) -> float:
    """Return the peak memory of a pack: measured, or extrapolated from the two largest sizes."""
    if size in memory or not memory:
        return memory.get(size, 0)
    *_, last = memory
    rest = [count for count in memory if count != last]
    if not rest:
        return memory[last] * size / last
    slope = max(0.0, (memory[last] - memory[rest[-1]]) / (last - rest[-1]))
    return memory[last] + slope * (size - last)


class PeakMemory:
    """Peak memory since this was created, beyond what was in use then."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self.before = torch.cuda.memory_allocated(device)
            return
        self._reset = _reset_peak()
        self.before = _process_status("VmRSS") if self._reset else 0

    def peak_bytes(self) -> int | None:
        """Return the peak in bytes; None where the system cannot measure it."""
        if self.device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self.device)) - self.before
        return max(0, _process_status("VmHWM") - self.before) if self._reset else None


def _reset_peak() -> bool:
    """Reset the peak that Linux counts; return whether it could."""
    try:
        # Freed memory that the C library still holds would count as used already.
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
    except (OSError, AttributeError):
        return False
    return True


def _process_status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0
