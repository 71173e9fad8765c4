"""Law 2, for everything that packs: the company of a member changes none of its numbers.

A contract that every later module inherits: `pack_cases` must hold one configuration for every
choice that a field of the model, the loss or the training has, and a test below refuses a choice
that no case has.
"""

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from msa_core.config.rules import is_active
from msa_core.config.schema import Config
from msa_core.data.planted import generate_planted
from msa_core.data.prepared import PreparedSplits
from msa_core.training import groups
from msa_core.vectorised import stack as stack_module
from msa_core.vectorised.pack_key import pack_key, sequential_reason, shared_fields
from spaces.core import Member
from spaces.fields.paths import fields_of, flatten, replace
from tests.cases.pack_cases import BASE, CASES, FREE, MODULE_CASES, RECIPE
from tests.cases.train_pack import train_pack

ALL_CASES = {**CASES, **MODULE_CASES}
EVERY_CASE = [*CASES, *(pytest.param(case, marks=pytest.mark.slow) for case in MODULE_CASES)]
SHORT = {"train.epochs": (4, 3)}
PLANNED = {
    "train.epochs": (4,)
}  # by the epochs: they are structure where tasks have shares of them


@pytest.fixture(scope="module")
def splits():
    return PreparedSplits(generate_planted(RECIPE).splits)


@pytest.fixture(autouse=True)
def everything_packs(monkeypatch):
    """Also what a CPU would train in turn: the mathematics of the pack is every device's."""
    monkeypatch.setattr(groups, "sequential_reason", lambda config, device: "")


def members_of(case, count=8):
    """Members of one pack, different in everything in which they may differ."""
    base = replace(Config(), {**BASE, **ALL_CASES[case]})
    free = FREE if case in CASES else {**FREE, **(PLANNED if case == "stream" else SHORT)}
    members = []
    for seed in range(count):
        draw = random.Random(seed)
        changes = {name: draw.choice(values) for name, values in free.items()}
        members.append(Member(replace(base, changes), seed))
    return members


def same(first, second):
    """Whether two results agree bit by bit, in every number."""
    ends = [(r.status, r.reason, r.epochs, r.best_epoch, dict(r.valid)) for r in (first, second)]
    return (
        ends[0] == ends[1]
        and list(first.curve) == list(second.curve)
        and all(np.array_equal(first.curve[name], second.curve[name], equal_nan=True)
                for name in first.curve)
        and (first.trained is None) == (second.trained is None)
        and (first.trained is None or all(
            torch.equal(first.trained.state[name], second.trained.state[name])
            for name in first.trained.state))
    )  # fmt: skip


@pytest.mark.parametrize("case", EVERY_CASE)
def test_a_member_is_the_same_in_every_company(splits, case):
    members = members_of(case)
    assert len({pack_key(member.config) for member in members}) == 1
    of_eight = train_pack(members, splits)
    assert [result.status for result in of_eight] == ["complete"] * 8
    assert [result.member for result in of_eight] == members
    assert len({result.curve["train.loss"][0] for result in of_eight}) == 8
    order = [5, 2, 7, 0, 3, 6, 1, 4]
    shuffled = train_pack([members[place] for place in order], splits)
    of_three = train_pack([members[place] for place in (6, 0, 3)], splits)
    alone = [train_pack([member], splits)[0] for member in members[:2]]
    assert all(same(of_eight[place], found) for place, found in zip(order, shuffled, strict=True))
    assert all(
        same(of_eight[place], found) for place, found in zip((6, 0, 3), of_three, strict=True)
    )
    assert all(same(of_eight[place], found) for place, found in enumerate(alone))


@pytest.mark.parametrize("case", EVERY_CASE)
def test_a_recorded_step_does_what_the_modules_do(splits, case, request):
    members = members_of(case, count=3)
    recorded = train_pack(members, splits)
    request.getfixturevalue("nothing_recorded")
    as_written = train_pack(members, splits)
    assert all(same(*pair) for pair in zip(recorded, as_written, strict=True))


@pytest.mark.parametrize("case", ["mean_mlp, concat", "lstm", "ulgm"])
def test_survivors_do_not_notice_that_others_stop(splits, case):
    members = [Member(replace(m.config, {"train.epochs": 10, "train.patience": 100}), m.seed)
               for m in members_of(case)]  # fmt: skip
    together = train_pack(members, splits)
    stops = {2: {1, 4, 7}, 5: {0, 2}, 6: {6, 5}}
    thinned = train_pack(members, splits, lambda epoch, metrics: stops.get(epoch, ()))
    assert [r.status for r in thinned] == ["complete" if i == 3 else "pruned" for i in range(8)]
    assert same(thinned[3], together[3])
    for place, result in enumerate(thinned):
        for name, values in result.curve.items():
            assert values == together[place].curve[name][: result.epochs]


@pytest.mark.parametrize("case", ["mean_mlp, concat", "lstm", "ulgm"])
@pytest.mark.parametrize("when", [1, 4])
def test_a_member_that_turns_nan_leaves_the_others_bitwise_unchanged(
    splits, case, when, monkeypatch
):
    members = members_of(case)
    healthy = train_pack(members, splits)
    before = stack_module.Stack.train_epoch

    def poisoned(stack, epoch):
        if epoch == when and stack.size == len(members):
            stack.parameters.flat[2, 5] = float("nan")
        return before(stack, epoch)

    monkeypatch.setattr(stack_module.Stack, "train_epoch", poisoned)
    results = train_pack(members, splits)
    assert (results[2].status, results[2].epochs) == ("failed", when)
    assert results[2].reason == f"the loss is not finite in epoch {when}"
    assert all(same(results[i], healthy[i]) for i in range(8) if i != 2)


@pytest.mark.parametrize("fits", [1, 3, 5])
def test_a_pack_that_does_not_fit_is_halved_and_goes_on(splits, fits, monkeypatch):
    """Memory that is short in the middle of a training, for every stack larger than `fits`."""
    members = members_of("mean_mlp, concat")
    whole = train_pack(members, splits)
    before, sizes = stack_module.Stack.train_epoch, []

    def short(stack, epoch):
        if epoch == 3 and stack.size > fits:
            raise torch.OutOfMemoryError("not enough memory")
        sizes.append(stack.size)
        return before(stack, epoch)

    monkeypatch.setattr(stack_module.Stack, "train_epoch", short)
    stopped = train_pack(members, splits, lambda epoch, metrics: {1} if epoch == 4 else ())
    assert stopped[1].status == "pruned"
    assert stopped[1].epochs == 4
    assert all(same(whole[i], stopped[i]) for i in range(8) if i != 1)
    assert all(result.company <= fits for result in stopped)
    assert max(sizes[-5:]) <= fits


def test_a_member_that_raises_is_found_and_fails_alone(splits, monkeypatch):
    members = members_of("mean_mlp, concat")
    whole = train_pack(members, splits)
    before = stack_module.fresh_parameters

    def fragile(model, streams):
        if streams.seed == 5:
            raise ValueError("seed 5 is cursed")
        return before(model, streams)

    monkeypatch.setattr(stack_module, "fresh_parameters", fragile)
    results = train_pack(members, splits)
    assert (results[5].status, results[5].reason) == ("failed", "ValueError: seed 5 is cursed")
    assert all(same(whole[i], results[i]) for i in range(8) if i != 5)


def test_members_of_several_keys_are_trained_together_epoch_by_epoch(splits):
    members = [*members_of("tfn", 3), *members_of("ulgm", 3)]
    members = [members[place] for place in (0, 3, 1, 4, 2, 5)]
    seen = []

    def watch(epoch, metrics):
        seen.append((epoch, len(metrics)))
        return ()

    results = train_pack(members, splits, watch)
    assert seen[0] == (1, 6)
    for member, result in zip(members, results, strict=True):
        assert same(result, train_pack([member], splits)[0])


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_the_size_of_a_pack_changes_no_number(splits, size):
    members = members_of("shared pairs", 5)
    whole = train_pack(members, splits)
    parts = train_pack(members, splits, size=size)
    assert all(same(a, b) for a, b in zip(whole, parts, strict=True))
    assert max(result.company for result in parts) <= size


# Which cells share a pack.


def test_every_field_is_either_structure_or_an_example_of_what_is_free():
    free = {path for path, (info, _) in fields_of(Config).items() if info.varies}
    assert set(FREE) == free


def test_every_choice_of_every_field_is_in_a_case():
    """Who adds a choice adds a case, and with it the whole contract."""
    seen = set()
    for changes in ALL_CASES.values():
        config = replace(Config(), {**BASE, **changes})
        seen |= {(path.split(".")[-1], value) for path, value in flatten(config).items()
                 if is_active(config, path)}  # fmt: skip
    for path, (info, _) in fields_of(Config).items():
        for choice in info.choices:
            assert (path.split(".")[-1], choice) in seen, f"{path}: {choice} is in no case"


@pytest.mark.parametrize("path", sorted(FREE))
def test_a_free_field_does_not_change_the_pack_key(path):
    everything = {"loss.unimodal.kind": "fixed", **CASES["private pairs"]}
    base = replace(Config(), everything)
    keys = {pack_key(replace(base, {path: value})) for value in FREE[path] if value != "off"}
    assert keys == {pack_key(base)}


@pytest.mark.parametrize(
    "changes",
    [
        {"model.text.use": False},
        {"model.text.encoder": "lstm"},
        {"model.text.width": 65},
        {"model.projection.width": 31},
        {"model.fusion.kind": "sum"},
        {"loss.alignment.text_audio.mode": "private"},
        {"loss.alignment.text_audio.weight": 0},
        {"loss.unimodal.kind": "ulgm"},
        {"loss.unimodal.text.weight": 0},
        {"train.batch_size": 33},
        {"features.standardise": False},
    ],
)
def test_what_fixes_the_steps_of_a_training_changes_the_pack_key(changes):
    base = replace(Config(), {"loss.alignment.text_audio.mode": "shared",
                              "loss.unimodal.kind": "fixed"})  # fmt: skip
    assert pack_key(replace(base, changes)) != pack_key(base)


def test_a_field_that_means_nothing_is_not_in_the_pack_key():
    for off in ({"loss.alignment.text_audio.measure": "cov"}, {"loss.unimodal.width": 7}):
        assert pack_key(replace(Config(), off)) == pack_key(Config())
    assert "loss.unimodal.width" not in shared_fields(Config())


def test_an_lstm_trains_in_turn_on_a_cpu_and_in_a_pack_elsewhere():
    lstm = replace(Config(), {"model.audio.encoder": "lstm"})
    assert "LSTM" in sequential_reason(lstm, "cpu")
    assert sequential_reason(lstm, "cuda") == sequential_reason(Config(), "cpu") == ""
    unused = replace(lstm, {"model.audio.use": False})
    assert sequential_reason(unused, "cpu") == ""


SHORT_OF_MEMORY = """
import resource, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from msa_core.config.fields import MODALITIES
from msa_core.config.planted import PlantedConfig
from msa_core.config.schema import Config
from msa_core.data.planted import generate_planted
from spaces.core import Member
from spaces.fields.paths import replace
from tests.cases.train_pack import train_pack

wide = {**{f"model.{name}.width": 256 for name in MODALITIES}, "train.epochs": 1}
members = [Member(replace(Config(), wide), seed) for seed in range(32)]
splits = generate_planted(PlantedConfig(train=64, valid=32, test=2, steps=1, width=64)).splits
train_pack(members[:2], splits)
if sys.argv[1] == "short":
    status = Path("/proc/self/status").read_text()
    in_use = int(status.split("VmSize:")[1].split()[0]) * 1024
    resource.setrlimit(resource.RLIMIT_AS, (in_use + 120 * 2**20,) * 2)
for result in train_pack(members, splits):
    print(result.status, result.reason, result.company, result.curve)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_a_pack_that_the_system_gives_no_memory_is_halved_and_ends_the_same():
    def run(how):
        done = subprocess.run([sys.executable, "-c", SHORT_OF_MEMORY, how],
                              capture_output=True, text=True, check=True)  # fmt: skip
        lines = [line.split(" ", 3) for line in done.stdout.splitlines()]
        return [(status, reason, curve) for status, reason, _, curve in lines], {
            int(company) for *_, company, _ in lines
        }

    plenty, whole = run("plenty")
    short, halves = run("short")
    assert whole == {32}
    assert max(halves) < 32
    assert short == plenty


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("case", ALL_CASES)
def test_on_a_gpu_company_changes_no_more_than_rounding(splits, case):
    members = members_of(case)
    of_eight = train_pack(members, splits, device="cuda")
    for member, result in list(zip(members, of_eight, strict=True))[:3]:
        (alone,) = train_pack([member], splits, device="cuda")
        first = slice(0, 3)
        for name, values in alone.curve.items():
            expected = pytest.approx(values[first], rel=1e-4, abs=1e-6, nan_ok=True)
            assert result.curve[name][first] == expected
