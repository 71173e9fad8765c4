"""A training that was interrupted ends with the numbers of one that was not, to the last bit.

Bound to every case of `pack_cases`, and so to every module, procedure and generator of labels.
"""

import pickle
import random
from dataclasses import replace as dataclass_replace

import numpy as np
import pytest
import torch

from msa_core.config.schema import Config
from msa_core.data.planted import generate_planted
from msa_core.data.prepared import PreparedSplits
from msa_core.training import groups
from msa_core.training.evaluation import evaluate
from msa_core.training.pack_training import PackTraining
from msa_core.vectorised import checkpoint as checkpoint_module
from msa_core.vectorised import stack as stack_module
from msa_core.vectorised.checkpoint import CheckpointError, from_bytes, identity_of
from msa_core.vectorised.pack_key import pack_key
from spaces.core import Member
from spaces.fields.paths import replace
from tests.cases.pack_cases import BASE, CASES, FREE, MODULE_CASES, RECIPE
from tests.cases.train_pack import resumed_positions, train_pack

PLAIN = "mean_mlp, concat"
ALL_CASES = {**CASES, **MODULE_CASES}
# Procedures, generated labels and memories, each once: the rest is `slow`.
FAST = [PLAIN, "ulgm", "mla by rls", "covariances of a queue", "stream", "two_stage"]


@pytest.fixture(scope="module")
def data():
    return generate_planted(RECIPE)


@pytest.fixture(scope="module")
def splits(data):
    return PreparedSplits(data.splits)


@pytest.fixture
def everything_packs(monkeypatch):
    monkeypatch.setattr(groups, "sequential_reason", lambda config, device: "")


def members_of(case, count=4, epochs=4):
    """Members of one pack, different in what they may differ in."""
    base = replace(Config(), {**BASE, **ALL_CASES[case], "train.epochs": epochs})
    members = []
    for seed in range(count):
        draw = random.Random(seed)
        changes = {name: draw.choice(values) for name, values in FREE.items()}
        own = {"train.epochs": epochs, "train.patience": (100, 2)[seed % 2]}
        members.append(Member(replace(base, {**changes, **own}), seed))
    assert len({pack_key(member.config) for member in members}) == 1
    return members


def same(first, second):
    """Whether two results agree bit by bit, in every number that is not of time or company."""
    ends = [
        (r.status, r.reason, r.kind, r.epochs, r.best_epoch, dict(r.valid)) for r in (first, second)
    ]
    states = [result.trained.state if result.trained else {} for result in (first, second)]
    return (
        ends[0] == ends[1]
        and list(first.curve) == list(second.curve)
        and all(
            np.array_equal(values, second.curve[name], equal_nan=True)
            for name, values in first.curve.items()
        )
        and list(states[0]) == list(states[1])
        and all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    )


def interrupted(members, splits, epochs, **options):
    """The checkpoints of a pack after some epochs; members that have ended have none."""
    training = PackTraining(members, splits, **options)
    for _ in range(epochs):
        training.advance_epoch()
    return training.member_checkpoints()


def resumed(members, splits, found, **options):
    training = PackTraining(members, splits, resume=found, **options)
    assert resumed_positions(training) == sorted(found)
    training.train_for()
    return training.results()


@pytest.mark.usefixtures("everything_packs")
@pytest.mark.parametrize("case", FAST)
def test_an_interruption_changes_no_number(splits, case):
    members = members_of(case, count=3)
    whole = train_pack(members, splits)
    found = interrupted(members, splits, 2)
    results = resumed([members[2], members[0]], splits, {0: found[2], 1: found[0]})
    assert same(results[0], whole[2])
    assert same(results[1], whole[0])


@pytest.mark.slow
@pytest.mark.parametrize("case", ALL_CASES)
@pytest.mark.parametrize("how", ["packed", "alone"])
def test_an_interruption_at_any_epoch_changes_no_number(splits, data, case, how, monkeypatch):
    """In everything that can be trained, and with other company before than after."""
    reason = "" if how == "packed" else "so that it is not put under vmap"
    for where in (
        "msa_core.training.groups.sequential_reason",
        "msa_core.training.evaluation.sequential_reason",
    ):
        monkeypatch.setattr(where, lambda config, device: reason)
    members = members_of(case)
    whole = train_pack(members, splits)
    for epochs, places in enumerate(([2, 0], [1], [3, 1, 2, 0]), start=1):
        found = interrupted(members, splits, epochs)
        some = [members[place] for place in places]
        contents = {at: found[place] for at, place in enumerate(places) if place in found}
        results = resumed(some, splits, contents)
        for place, result in zip(places, results, strict=True):
            assert same(result, whole[place])
    first, second = (evaluate(result, data.test) for result in (whole[2], results[2]))
    assert first.metrics == second.metrics
    assert np.array_equal(first.predictions, second.predictions)


@pytest.mark.usefixtures("everything_packs")
@pytest.mark.parametrize("case", ["ulgm"])
def test_several_interruptions_change_no_number(splits, case):
    members = members_of(case, count=2, epochs=5)
    whole = train_pack(members, splits)
    found = {}
    for _ in range(4):
        training = PackTraining(members, splits, resume=found)
        training.train_for(0)
        found |= training.member_checkpoints()
    results = resumed(members, splits, found)
    assert all(same(*pair) for pair in zip(results, whole, strict=True))


def test_members_that_are_unequally_far_train_in_groups_of_their_own(splits):
    members = members_of(PLAIN, count=5, epochs=6)
    whole = train_pack(members, splits)
    early, late = interrupted(members, splits, 1), interrupted(members, splits, 3)
    training = PackTraining(members, splits, resume={0: late[0], 2: late[2], 4: early[4]})
    assert training.epochs_trained() == [3, 0, 3, 0, 1]
    assert training.epoch == 0
    epoch, seen = training.advance_epoch()  # those that are the least far
    assert training.epochs_trained() == [3, 1, 3, 1, 1]
    assert epoch == 1
    assert {place: metrics["mae"] for place, metrics in seen.items()} == {
        place: result.curve["valid.mae"][0] for place, result in enumerate(whole)
    }
    training.train_for()
    results = training.results()
    assert [result.company for result in results] == [2, 2, 2, 2, 1]
    assert all(same(*pair) for pair in zip(results, whole, strict=True))


def test_a_group_that_is_halved_after_a_resume_goes_back_to_its_checkpoints_only(
    splits, monkeypatch
):
    members = members_of(PLAIN, count=4, epochs=6)
    whole = train_pack(members, splits)
    found = interrupted(members, splits, 2)
    before, epochs = stack_module.Stack.train_epoch, []

    def short(stack, epoch):
        epochs.append((stack.size, epoch))
        if epoch == 4 and stack.size > 1:
            raise torch.OutOfMemoryError("not enough memory")
        return before(stack, epoch)

    monkeypatch.setattr(stack_module.Stack, "train_epoch", short)
    results = resumed(members, splits, found)
    assert min(epoch for _, epoch in epochs) == 3
    assert {result.company for result in results} == {1}
    assert all(same(*pair) for pair in zip(results, whole, strict=True))


def test_time_before_an_interruption_counts(splits):
    members = members_of(PLAIN, count=2)
    training = PackTraining(members, splits)
    training.advance_epoch()
    again = PackTraining(members, splits, resume=training.member_checkpoints())
    assert again.seconds == pytest.approx(training.seconds)
    again.train_for()
    assert again.seconds > training.seconds


def test_a_member_that_is_stopped_right_after_it_resumed_is_as_it_was(splits):
    members = members_of(PLAIN, count=2, epochs=5)
    training = PackTraining(members, splits)
    for _ in range(3):
        training.advance_epoch()
    again = PackTraining(members, splits, resume=training.member_checkpoints())
    for one in (training, again):
        one.stop_members(one.positions)
        assert one.finished
    assert all(same(*pair) for pair in zip(training.results(), again.results(), strict=True))
    assert again.result(0).trained is not None


def test_who_has_ended_or_not_begun_has_no_checkpoint(splits):
    short, long = (members_of(PLAIN, count=2, epochs=epochs) for epochs in (1, 3))
    other = members_of("tfn", count=1, epochs=3)
    training = PackTraining([*short, *long, *other], splits, size=2)
    assert training.member_checkpoints() == {}
    training.train_for(0)
    assert training.ended_positions() == [0, 1]
    training.train_for(0)
    assert training.epochs_trained() == [1, 1, 1, 1, 0]
    assert sorted(training.member_checkpoints()) == [2, 3]
    training.train_for()
    assert training.member_checkpoints() == {}
    assert training.ended_positions() == [0, 1, 2, 3, 4]


# What is refused.


def damaged(content):
    """The bytes with one of them changed, each place in turn, and cut off at some."""
    for place in [*range(0, 200, 7), *range(200, len(content), len(content) // 60)]:
        yield content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :]
        yield content[:place]


@pytest.mark.parametrize("case", [PLAIN, "ulgm"])
def test_damaged_bytes_are_refused_and_the_member_starts_at_epoch_0(splits, case):
    members = members_of(case, count=2, epochs=2)
    found = interrupted(members, splits, 1)
    identity = identity_of(members[0], splits.splits)
    assert from_bytes(found[0], identity).epochs == 1
    for content in damaged(found[0]):
        with pytest.raises(CheckpointError):
            from_bytes(content, identity)
    whole = train_pack(members, splits)
    training = PackTraining(members, splits, resume={0: found[0][:-1], 1: found[1]})
    assert resumed_positions(training) == [1]
    assert training.epochs_trained() == [0, 1]
    training.train_for()
    assert all(same(*pair) for pair in zip(training.results(), whole, strict=True))


def test_the_checkpoint_of_another_training_is_refused(splits, data):
    member, other = members_of(PLAIN, count=2)
    content = interrupted([member], splits, 1)[0]
    longer = replace(member.config, {"train.epochs": 9})
    labels = dataclass_replace(data.splits.train, labels=-data.splits.train.labels)
    turned = PreparedSplits(dataclass_replace(data.splits, train=labels))
    kept = {name: array[..., :4] for name, array in data.splits.train.features.items()}
    fewer = dataclass_replace(data.splits.train, features=kept)
    narrow = dataclass_replace(data.splits, train=fewer)
    for one, on, beside in (
        (dataclass_replace(member, seed=5), splits, ""),
        (Member(longer, member.seed), splits, ""),
        (other, splits, ""),
        (member, turned, ""),
        (member, PreparedSplits(narrow), ""),
        (member, splits, "newer code"),
    ):
        assert (
            resumed_positions(PackTraining([one], on, resume={0: content}, identity=beside)) == []
        )
        with pytest.raises(CheckpointError, match="belongs to another training"):
            from_bytes(content, identity_of(one, on.splits, beside))
    assert resumed_positions(PackTraining([member], splits, resume={0: content})) == [0]


def test_fields_that_mean_nothing_do_not_make_it_another_training(splits):
    (member,) = members_of(PLAIN, count=1)
    content = interrupted([member], splits, 1)[0]
    idle = Member(replace(member.config, {"model.fusion.lmf.rank": 2}), member.seed)
    assert resumed_positions(PackTraining([idle], splits, resume={0: content})) == [0]


def with_checksum(payload, identity):
    digest = checkpoint_module.hashlib.sha256(payload).hexdigest()
    return f"triptych-checkpoint 2 {identity} {digest}\n".encode() + payload


class Trap:
    def __reduce__(self):
        return Trap.spring, ()

    @staticmethod
    def spring():
        raise AssertionError("a checkpoint was executed")


def test_a_foreign_file_with_a_true_checksum_executes_nothing(splits, tmp_path):
    identity = identity_of(members_of(PLAIN, count=1)[0], splits.splits)
    path = tmp_path / "trap.pt"
    torch.save({"epochs": Trap(), "blocks": Trap()}, path)
    torch.save({"epochs": 1}, tmp_path / "little.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    payloads = [
        path.read_bytes(),
        pickle.dumps(Trap()),
        (tmp_path / "little.pt").read_bytes(),
        (tmp_path / "list.pt").read_bytes(),
        b"",
        b"PK\x03\x04",
        b"\x80\x02.",
    ]
    for payload in payloads:
        with pytest.raises(CheckpointError, match="can't be read"):
            from_bytes(with_checksum(payload, identity), identity)


def test_another_format_is_named(splits):
    (member,) = members_of(PLAIN, count=1)
    identity = identity_of(member, splits.splits)
    content = interrupted([member], splits, 1)[0]
    with pytest.raises(CheckpointError, match="has format 1, and this version reads 2"):
        from_bytes(content.replace(b"checkpoint 2", b"checkpoint 1", 1), identity)
    with pytest.raises(CheckpointError, match="no checkpoint"):
        from_bytes(b"", identity)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda state: dataclass_replace(state, kept={"more": torch.zeros(2)}),
        lambda state: dataclass_replace(state, labels={"more": torch.zeros(2)}),
        lambda state: dataclass_replace(state, steps={"model": 1, "more": 1}),
        lambda state: dataclass_replace(
            state, layout=type(state.layout)({"other": state.layout.blocks["model"]}, True)
        ),
    ],
)
def test_a_checkpoint_of_other_modules_lets_its_member_start_over(splits, spoil, monkeypatch):
    """As of a plugin that was rewritten: nothing before the stack is built can know."""
    members = members_of(PLAIN, count=3)
    whole = train_pack(members, splits)
    found = interrupted(members, splits, 2)
    before = checkpoint_module._checkpoint_from
    count = iter(range(3))

    def other(content):
        made = before(content)
        return dataclass_replace(made, state=spoil(made.state)) if next(count) == 1 else made

    monkeypatch.setattr(checkpoint_module, "_checkpoint_from", other)
    training = PackTraining(members, splits, resume=found)
    training.train_for()
    assert [run.resumed_from is None for run in training._runs] == [False, True, False]
    assert all(same(*pair) for pair in zip(training.results(), whole, strict=True))


def test_tensors_of_a_checkpoint_are_on_the_cpu_and_hold_no_more_than_they_show(splits):
    members = members_of("covariances of a queue", count=4)
    identity = identity_of(members[0], splits.splits)
    alone = interrupted(members[:1], splits, 2)[0]
    of_four = interrupted(members, splits, 2)[0]
    assert abs(len(alone) - len(of_four)) < 200
    state = from_bytes(of_four, identity).state
    for tensor in (state.parameters, state.mean, *state.kept.values()):
        assert tensor.device.type == "cpu"
        assert tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()


@pytest.mark.parametrize("case", [PLAIN, "two_stage", "ulgm"])
def test_what_was_packed_can_go_on_alone(splits, case, monkeypatch):
    """Matrices lie otherwise there, as on another device; the numbers are the same to rounding."""
    members = members_of(case, count=2)
    whole = train_pack(members, splits)
    found = interrupted(members, splits, 3)
    monkeypatch.setattr(groups, "sequential_reason", lambda config, device: "on this device")
    result = resumed(members[:1], splits, {0: found[0]})[0]
    assert result.status == whole[0].status
    assert result.curve["train.loss"][:3] == whole[0].curve["train.loss"][:3]
    assert result.curve["train.loss"][3] == pytest.approx(whole[0].curve["train.loss"][3], rel=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("case", FAST)
def test_on_a_gpu_an_interruption_changes_no_more_than_rounding(splits, case):
    members = members_of(case, count=3)
    whole = train_pack(members, splits, device="cuda")
    found = interrupted(members, splits, 2, device="cuda")
    for device in ("cuda", "cpu"):
        results = resumed(members, splits, found, device=device)
        for result, expected in zip(results, whole, strict=True):
            for name, values in expected.curve.items():
                wanted = pytest.approx(values[:3], rel=1e-3, abs=1e-5, nan_ok=True)
                assert result.curve[name][:3] == wanted
