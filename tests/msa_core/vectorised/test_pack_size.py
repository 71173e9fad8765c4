"""How many members train in one step: what is tried, what is chosen, and what memory is seen."""

import itertools
import random
import time

import numpy as np
import pytest
import torch

from msa_core.config.fields import MODALITIES
from msa_core.config.planted import PlantedConfig
from msa_core.config.schema import Config
from msa_core.data.planted import generate_planted
from msa_core.data.prepared import PreparedSplits
from msa_core.vectorised import pack_size as measuring
from msa_core.vectorised.pack_key import pack_key
from msa_core.vectorised.pack_size import PeakMemory, device_name, measure_pack_size
from msa_core.vectorised.stack import Stack
from spaces.core import Member
from spaces.fields.paths import replace
from tests.cases.train_pack import train_pack

CPU = torch.device("cpu")
MIB = 2**20
SMALL = {
    **{f"model.{name}.width": 8 for name in MODALITIES},
    "model.projection.width": 4,
    "model.fusion.width": 8,
    "train.epochs": 2,
}
MEMBER = Member(replace(Config(), SMALL), 0)
DOUBLING = [2, 4, 8, 16, 32, 64]


@pytest.fixture(scope="module")
def data():
    return PreparedSplits(
        generate_planted(PlantedConfig(train=160, valid=32, test=2, steps=3)).splits
    )


@pytest.fixture
def made_up(monkeypatch):
    """Replaces training by made-up times and memory; gives the sizes tried and what was found.

    Times are those of a member; those and the bytes of all members are functions of their number.
    """

    def measure(seconds, memory=lambda count: None, **options):
        tried = []

        class FakeStack:
            def __init__(self, members, data, device, *, vmapped):
                assert vmapped
                assert len({member.seed for member in members}) == len(members)
                tried.append(len(members))

            def seconds_per_step(self, steps):
                assert steps > 0
                return seconds(tried[-1]) * tried[-1]

        class FakePeak:
            def __init__(self, device):
                self.made_before = len(tried)

            def peak_bytes(self):
                assert len(tried) == self.made_before + 1  # Around one stack and no more.
                return memory(tried[-1])

        monkeypatch.setattr(measuring, "Stack", FakeStack)
        monkeypatch.setattr(measuring, "PeakMemory", FakePeak)
        return tried, measure_pack_size(MEMBER, None, **options)

    return measure


def faster(count):
    """The more members, the faster each."""
    return 1.0 / count


def fails_from(count, error):
    def seconds(size):
        if size >= count:
            raise error("no room")
        return faster(size)

    return seconds


# The sizes tried.


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (None, DOUBLING),
        (1000, DOUBLING),
        (64, DOUBLING),
        (24, [2, 4, 8, 16, 24]),
        (16, [2, 4, 8, 16]),
        (5, [2, 4, 5]),
        (2, [2]),
        (1, [2]),
    ],
)
def test_sizes_double_from_2_up_to_the_most_that_will_be_asked_for(made_up, most, expected):
    tried, found = made_up(faster, most=most)
    assert tried == expected
    assert list(found.seconds) == list(map(str, expected))
    assert found.size == expected[-1]


def test_no_larger_pack_is_tried_after_two_that_are_much_slower(made_up):
    assert made_up(lambda count: 1.0)[0] == DOUBLING
    # A single one that is slower may be chance.
    times = {2: 1.0, 4: 1.3, 8: 0.5, 16: 0.65, 32: 0.7}
    tried, found = made_up(times.get)
    assert (tried, found.size) == ([2, 4, 8, 16, 32], 8)


def test_no_larger_pack_is_tried_once_the_time_is_up(made_up, monkeypatch):
    monkeypatch.setattr(measuring, "SECONDS", 0.02)

    def slow(count):
        time.sleep(0.03)
        return faster(count)

    assert made_up(slow)[0] == [2]


# The size chosen.


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ({2: 1.0, 4: 0.5, 8: 0.48, 16: 0.52, 32: 0.54, 64: 0.54}, 16),  # 0.52 is within 10 % of it
        ({2: 1.0, 4: 0.51, 8: 0.50, 16: 0.48, 32: 0.48, 64: 0.52}, 64),
        ({2: 1.0, 4: 1.0, 8: 1.0, 16: 1.0, 32: 1.0, 64: 1.0}, 64),
        ({2: 1.0, 4: 2.0, 8: 3.0}, 2),
        ({2: 1.09, 4: 1.0, 8: 1.2, 16: 1.2, 32: 1.2, 64: 1.2}, 4),
    ],
)
def test_the_largest_size_that_is_nearly_the_fastest_is_chosen(made_up, times, expected):
    tried, found = made_up(times.get)
    assert tried == list(times)
    assert found.seconds == pytest.approx({str(count): times[count] for count in tried})
    assert found.size == expected


@pytest.mark.parametrize("seed", range(30))
def test_whatever_the_times_the_choice_is_among_the_sizes_tried(made_up, seed):
    draw = random.Random(seed)
    times = {}
    most = draw.choice([2, 3, 7, 20, 64, None])
    tried, found = made_up(
        lambda count: times.setdefault(count, draw.uniform(0.3, 1) / count**0.5), most=most
    )
    assert tried == list(times)
    assert max(tried) <= (most or 64)
    assert found.size == max(c for c in tried if times[c] <= 1.1 * min(times.values()))


# Memory.


def test_a_size_that_would_need_too_much_memory_is_neither_tried_nor_chosen(made_up):
    # 250, 450, and 850 bytes for 8 on the line through them: more than 0.8 of 1000.
    tried, found = made_up(faster, lambda count: 50 + 100 * count, share=1000)
    assert tried == [2, 4]
    assert found.size == 4
    assert found.memory == {"2": 250, "4": 450}
    assert found.share == 1000
    assert made_up(faster, lambda count: 50 + 100 * count, share=1070)[0] == [2, 4, 8]


def test_a_size_that_turns_out_to_need_too_much_memory_is_not_chosen(made_up):
    used = {2: 100, 4: 200, 8: 2000}  # 8 looks like 400 before it is tried.
    tried, found = made_up(faster, used.get, share=1000)
    assert tried == [2, 4, 8]
    assert found.size == 4


def test_the_smallest_pack_is_chosen_where_none_fits(made_up):
    tried, found = made_up(faster, lambda count: 1000 * count, share=100)
    assert (tried, found.size) == ([2], 2)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_the_memory_no_choice_needs_more_than_the_share(made_up, seed):
    draw = random.Random(seed)
    fixed, each = draw.uniform(0, 500), draw.uniform(1, 200)
    share = int(draw.uniform(1, 20_000))
    tried, found = made_up(faster, lambda count: int(fixed + each * count), share=share)
    fitting = [count for count in DOUBLING if int(fixed + each * count) <= 0.8 * share] or [2]
    # The second size is judged by the first alone, in proportion, and so too large.
    assert found.size in (fitting[-1], 2)
    assert found.size <= fitting[-1]
    if len(tried) > 1:
        assert found.size == fitting[-1]


@pytest.mark.parametrize(
    ("memory", "share"), [(lambda count: None, 1000), (lambda count: 10**15 * count, 0)]
)
def test_without_a_share_or_a_measurement_memory_limits_nothing(made_up, memory, share):
    tried, found = made_up(faster, memory, share=share)
    assert (tried, found.size) == (DOUBLING, 64)
    assert bool(found.memory) == (share == 0)


@pytest.mark.parametrize("error", [MemoryError, RuntimeError])
@pytest.mark.parametrize("count", [4, 16, 64])
def test_a_size_that_fails_leaves_the_smaller_ones(made_up, count, error):
    tried, found = made_up(fails_from(count, error))
    assert tried[-1] == count
    assert found.size == count // 2
    assert max(map(int, found.seconds)) == count // 2


@pytest.mark.parametrize("error", [MemoryError, RuntimeError])
def test_a_failure_of_the_smallest_pack_is_raised(made_up, error):
    with pytest.raises(error, match="no room"):
        made_up(fails_from(2, error))


def test_an_error_that_has_nothing_to_do_with_memory_is_raised(made_up):
    with pytest.raises(KeyError):
        made_up(fails_from(8, KeyError))


# Measured on this machine.


def test_a_real_measurement(data):
    found = measure_pack_size(MEMBER, data, most=16, share=2**40)
    tried = [int(count) for count in found.seconds]
    assert tried == DOUBLING[: len(tried)]
    assert found.size in tried
    assert found.size <= 16
    assert all(0 < seconds < 1 for seconds in found.seconds.values())
    assert found.pack_key == pack_key(MEMBER.config)
    assert found.device == device_name("cpu") == device_name(CPU) == "cpu"
    assert found.share == 2**40


def test_a_measurement_changes_no_number_of_a_training(data):
    before = train_pack([MEMBER], data)[0]
    random_state = torch.get_rng_state()
    measure_pack_size(MEMBER, data, most=4)
    assert torch.equal(torch.get_rng_state(), random_state)
    after = train_pack([MEMBER], data)[0]
    assert after.curve == before.curve
    assert all(
        torch.equal(value, after.trained.state[name])
        for name, value in before.trained.state.items()
    )


def require_memory(used, peak):
    if used is None:
        pytest.skip("this system cannot tell how much memory was used")
    if not peak._reset:
        pytest.skip("this system cannot forget an earlier peak of this process's memory")


def test_the_peak_of_an_allocation_is_seen_after_it_is_gone():
    peak = PeakMemory(CPU)
    before = peak.peak_bytes()
    require_memory(before, peak)
    array = np.ones(64 * MIB, np.uint8)
    assert array.sum() == array.size
    del array
    assert 60 * MIB < peak.peak_bytes() < 96 * MIB
    assert before < 4 * MIB
    assert PeakMemory(CPU).peak_bytes() < 4 * MIB  # And forgotten by the next one.


def test_the_memory_of_a_pack_grows_in_proportion_to_its_members(data, monkeypatch):
    """So that the line through two sizes tells what a third one needs."""

    class Quick(Stack):
        def seconds_per_step(self, steps):
            super().seconds_per_step(2)
            return 1.0  # Larger packs always look better, so that every size is tried.

    peak = PeakMemory(CPU)
    require_memory(peak.peak_bytes(), peak)
    monkeypatch.setattr(measuring, "Stack", Quick)
    monkeypatch.setattr(measuring, "SECONDS", float("inf"))
    wide = {f"model.{name}.width": 256 for name in MODALITIES}
    found = measure_pack_size(Member(replace(Config(), wide), 0), data)
    assert list(found.memory) == list(map(str, DOUBLING))
    sizes = np.array([8, 16, 32, 64])
    used = np.array([found.memory[str(size)] for size in sizes])
    slope, start = np.polyfit(sizes, used, 1)
    assert slope > 0
    # The parameters, both moments of Adam and the gradients of one layer, at the very least.
    assert slope > 4 * 4 * 3 * 256 * 256
    assert np.abs(used - (start + slope * sizes)).max() < 0.25 * used.max()
    assert all(smaller < larger for smaller, larger in itertools.pairwise(used))
