"""The first two laws: what is off was never there, and company changes nothing.

Numbers are compared bit by bit.
"""

import itertools
import json
import random
import subprocess
import sys
from dataclasses import replace as dataclass_replace

import numpy as np
import pytest
import torch

from msa_core.config.alignment import CovOptions
from msa_core.config.fields import MODALITIES, PAIRS
from msa_core.config.planted import PlantedConfig
from msa_core.config.rules import is_active, resolve_fields, restrict_to
from msa_core.config.schema import Config
from msa_core.data.planted import generate_planted
from msa_core.data.prepared import PreparedSplits
from msa_core.model import build_model, fresh_parameters
from msa_core.objective import loss_terms
from msa_core.tensors.random_streams import Streams
from msa_core.vectorised import stack, step
from msa_core.vectorised.pack_key import sequential_reason
from spaces.core import Member
from spaces.fields.paths import fields_of, replace, value_at
from tests.cases.paths import REPOSITORY
from tests.cases.train_pack import train_pack

RECIPE = PlantedConfig(train=96, valid=64, test=2, steps=3, width=6)
BASE = replace(
    Config(),
    {
        **{f"model.{name}.width": 8 for name in MODALITIES},
        **{f"model.{name}.dropout": 0.3 for name in MODALITIES},
        "model.projection.width": 4,
        "model.fusion.width": 8,
        "loss.unimodal.width": 4,
        "train.learning_rate": 0.01,
        "train.epochs": 3,
        "train.patience": 100,
    },
)
FIXED, ULGM = ({"loss.unimodal.kind": kind} for kind in ("fixed", "ulgm"))
SHARED, PRIVATE = (
    {f"loss.alignment.{pair}.mode": mode for pair in PAIRS} for mode in ("shared", "private")
)
EVERYTHING = {**SHARED, **ULGM, "model.fusion.kind": "tfn"}
NO_HEADS = {f"loss.unimodal.{name}.weight": 0 for name in MODALITIES}


@pytest.fixture(scope="module")
def splits():
    return generate_planted(RECIPE).splits


@pytest.fixture(scope="module", params=["lstm", "mean_mlp"])
def start(request):
    """What every test starts from: on a CPU an LSTM trains in turn, and without one in a pack."""
    config = replace(BASE, {"model.text.encoder": request.param})
    assert bool(sequential_reason(config, "cpu")) == (request.param == "lstm")
    return config


@pytest.fixture(scope="module")
def train(splits, start):
    def train(changes=(), seed=0):
        (result,) = train_pack([Member(replace(start, dict(changes)), seed)], splits)
        assert result.status == "complete", result.reason
        return result

    return train


@pytest.fixture(scope="module")
def base(train):
    return train()


@pytest.fixture(scope="module")
def members(start):
    return [
        Member(replace(start, EVERYTHING), 0),
        Member(replace(start, {"train.epochs": 2, "model.text.use": False}), 1),
        Member(replace(start, FIXED), 0),
    ]


@pytest.fixture(scope="module")
def alone(splits, members):
    return [train_pack([member], splits)[0] for member in members]


def same_numbers(first, second):
    """Whether two results agree bit by bit, in every number that both have to have."""
    return (
        (first.status, first.epochs, first.best_epoch) == (second.status, second.epochs,
                                                           second.best_epoch)
        and first.valid == second.valid
        and first.curve == second.curve
        and same_state(first.trained.state, second.trained.state)
    )  # fmt: skip


def same_state(first, second):
    return list(first) == list(second) and all(
        torch.equal(value, second[name]) for name, value in first.items()
    )


def shared_part(result):
    """What a result has in common with a model that has no unimodal heads."""
    state = {name: value for name, value in result.trained.state.items() if "unimodal" not in name}
    curve = {name: values for name, values in result.curve.items() if name.startswith("valid.")}
    return state, {**curve, "task": result.curve["train.task"]}


# Law 1: what is off is bit-identical to what was never there.


@pytest.mark.parametrize(
    "off",
    [
        *({f"loss.alignment.{pair}.mode": "off", f"loss.alignment.{pair}.weight": 9,
           f"loss.alignment.{pair}.margin": 3} for pair in PAIRS),
        *({f"loss.alignment.{pair}.mode": mode, f"loss.alignment.{pair}.weight": 0}
          for pair in PAIRS for mode in ("shared", "private")),
        {"loss.unimodal.kind": "none", "loss.unimodal.width": 7, "loss.unimodal.target":
         "annotated", "loss.unimodal.text.weight": 9},
        {**FIXED, **NO_HEADS},
        {**ULGM, **NO_HEADS},
        {"control.placebo": "off"},
    ],
    ids=lambda off: " ".join(f"{path.split('.', 1)[1]}={value}" for path, value in off.items()),
)  # fmt: skip
def test_what_is_off_is_bit_identical_to_what_is_absent(train, base, off):
    assert same_numbers(train(off), base)


@pytest.mark.parametrize("context", [{**SHARED, **FIXED}, {**PRIVATE, **ULGM}])
@pytest.mark.parametrize("pair", PAIRS)
def test_one_pair_off_is_its_zero_weight_beside_everything_else(train, context, pair):
    switch = f"loss.alignment.{pair}"
    without = train({**context, f"{switch}.mode": "off"})
    assert f"train.alignment.{pair}" not in without.curve
    assert same_numbers(train({**context, f"{switch}.weight": 0}), without)
    assert not same_numbers(train(context), without)


def test_an_undefined_measure_with_weight_0_harms_nothing(train, base, monkeypatch):
    monkeypatch.setattr(CovOptions, "implementation", lambda *_: torch.tensor(float("nan")))
    zero = {f"loss.alignment.{pair}.weight": 0 for pair in PAIRS}
    assert same_numbers(train({**SHARED, **zero}), base)


@pytest.mark.parametrize("modality", MODALITIES)
@pytest.mark.parametrize("context", [{}, EVERYTHING], ids=["plain", "everything"])
def test_a_modality_off_is_bit_identical_to_data_without_it(
    splits, start, train, modality, context
):
    kept = [name for name in MODALITIES if name != modality]
    reduced = dataclass_replace(
        splits,
        **{
            name: dataclass_replace(
                split,
                features={kind: split.features[kind] for kind in kept},
                lengths={kind: split.lengths[kind] for kind in kept},
            )
            for name, split in (("train", splits.train), ("valid", splits.valid))
        },
    )
    off = train({**context, f"model.{modality}.use": False})
    member = Member(restrict_to(replace(start, context), kept), 0)
    assert same_numbers(train_pack([member], reduced)[0], off)
    assert not any(modality in name for name in off.trained.state)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"model.text.use": False, **FIXED},
        {"model.audio.use": False, **SHARED, **ULGM},
        {"model.vision.use": False, "model.text.use": False, **PRIVATE, **FIXED},
    ],
)
def test_fields_that_are_not_active_change_no_number(splits, start, changes):
    config = replace(start, changes)
    idle = {
        path: other_value(config, path) for path in fields_of(Config) if not is_active(config, path)
    }
    assert idle
    changed = replace(config, idle)
    assert resolve_fields(changed) == resolve_fields(config)
    both = [Member(config, 0), Member(changed, 0)]
    first, second = (train_pack([member], splits)[0] for member in both)
    assert all(same_numbers(first, other) for other in (second, *train_pack(both, splits)))


def other_value(config, path):
    """Another value that the field allows, if there is one."""
    info, _ = fields_of(Config)[path]
    value = value_at(config, path)
    if info.choices:
        return next((choice for choice in reversed(info.choices) if choice != value), value)
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int) else value * 0.5 + 0.01


@pytest.mark.parametrize("kind", ["fixed", "ulgm"])
def test_unimodal_heads_leave_the_initial_parameters_of_the_rest_as_they_are(start, kind):
    def initial(changes):
        model = build_model(replace(start, changes), dict.fromkeys(MODALITIES, 6))
        return fresh_parameters(model, Streams(0))

    plain, heads = initial({}), initial({"loss.unimodal.kind": kind})
    assert len(heads) == len(plain) + 3 * 4
    assert same_state(plain, {name: heads[name] for name in plain})
    assert not torch.equal(heads["unimodal_heads.text.hidden.weight"],
                           heads["unimodal_heads.audio.hidden.weight"])  # fmt: skip


@pytest.mark.parametrize("changes", [FIXED, ULGM, SHARED, {"model.fusion.kind": "sum"}])
def test_the_batches_are_those_of_the_seed_whatever_the_model(train, changes, monkeypatch):
    orders = []
    before = stack.Stack._take_step

    def watch(pack, epoch, move, rows_KB, *rest, **how):
        orders[-1].append(rows_KB[0].tolist())
        return before(pack, epoch, move, rows_KB, *rest, **how)

    monkeypatch.setattr(stack.Stack, "_take_step", watch)
    for option, seed in (({}, 0), (changes, 0), (changes, 1)):
        orders.append([])
        train(option, seed)
    assert orders[0] == orders[1] != orders[2]
    epochs = [
        list(itertools.chain.from_iterable(orders[0][first : first + 3])) for first in (0, 3, 6)
    ]
    assert all(sorted(rows) == list(range(96)) for rows in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_heads_whose_loss_is_dropped_change_no_number_of_the_rest(train, base, monkeypatch):
    def task_only(*arguments):
        return {"task": loss_terms(*arguments)["task"]}

    monkeypatch.setattr(step, "loss_terms", task_only)
    state, curve = shared_part(train(FIXED))
    assert same_state(state, base.trained.state)
    assert curve == shared_part(base)[1]


def test_the_first_epoch_of_generated_labels_is_that_of_a_model_without_heads(train):
    once = {"train.epochs": 1}
    plain, generated = train(once), train({**ULGM, **once})
    for name in MODALITIES:
        assert generated.curve[f"train.unimodal.{name}"] == [0.0]
    assert same_state(shared_part(generated)[0], plain.trained.state)
    assert shared_part(generated)[1] == shared_part(plain)[1]


def test_generated_labels_matter_from_the_third_epoch_on(train, base):
    generated = train(ULGM)
    # A row's label first moves in epoch 2, after its loss of that epoch.
    assert generated.curve["train.unimodal.text"][:2] == [0.0, 0.0]
    assert generated.curve["train.unimodal.text"][2] > 0.0
    assert shared_part(generated)[1] != shared_part(base)[1]


def test_a_placebo_is_other_noise_in_the_same_model(train, base):
    placebo, other = (train({"control.placebo": name}) for name in ("sugar", "salt"))
    shapes = {name: value.shape for name, value in base.trained.state.items()}
    for result in (placebo, other):
        assert {name: value.shape for name, value in result.trained.state.items()} == shapes
        assert not same_state(result.trained.state, base.trained.state)
        assert set(result.curve) == set(base.curve)
    assert not same_state(placebo.trained.state, other.trained.state)


# Law 2: the same cell gives the same numbers, whatever it was trained beside.


def test_the_same_member_gives_the_same_numbers_twice(splits, members, alone):
    for member, before in zip(members, alone, strict=True):
        assert same_numbers(train_pack([member], splits)[0], before)


def test_another_seed_gives_other_numbers(train, base):
    assert not same_state(train(seed=1).trained.state, base.trained.state)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_pack_in_any_order_gives_the_numbers_of_each_alone(splits, members, alone, order):
    results = train_pack([members[place] for place in order], splits)
    for place, result in zip(order, results, strict=True):
        assert result.member is members[place]
        assert same_numbers(result, alone[place])


def test_a_member_beside_itself_gives_the_same_numbers_twice(splits, members, alone):
    for result in train_pack([members[0]] * 2, splits):
        assert same_numbers(result, alone[0])


def test_a_failed_member_changes_no_number_of_its_pack(splits, start, members, alone, monkeypatch):
    broken = replace(start, {**SHARED, "control.placebo": "broken"})

    def watch(config, *rest):
        if config == broken:
            raise ArithmeticError("planted")
        return loss_terms(config, *rest)

    monkeypatch.setattr(step, "loss_terms", watch)
    first, failed, last = train_pack([members[0], Member(broken, 0), members[2]], splits)
    assert (failed.status, failed.reason) == ("failed", "ArithmeticError: planted")
    assert same_numbers(first, alone[0])
    assert same_numbers(last, alone[2])


def test_a_nan_member_changes_no_number_of_its_pack(splits, start, members, alone, monkeypatch):
    spoilt = replace(start, {"control.placebo": "spoilt"})

    def watch(config, *rest):
        terms = loss_terms(config, *rest)
        if config == spoilt:
            terms["task"] = dataclass_replace(terms["task"], raw=terms["task"].raw * float("nan"))
        return terms

    monkeypatch.setattr(step, "loss_terms", watch)
    failed, first, second = train_pack([Member(spoilt, 0), *members[:2]], splits)
    assert (failed.status, failed.reason) == ("failed", "the loss is not finite in epoch 1")
    assert failed.trained is None
    assert same_numbers(first, alone[0])
    assert same_numbers(second, alone[1])


def test_a_stopped_member_changes_no_number_of_its_pack(splits, members, alone):
    first, stopped, last = train_pack(members, splits, on_epoch=lambda epoch, metrics: {1})
    assert stopped.status == "pruned"
    assert same_numbers(first, alone[0])
    assert same_numbers(last, alone[2])


def test_global_random_state_is_neither_read_nor_moved(splits, members, alone):
    torch.manual_seed(99)
    random.seed(99)
    before = torch.get_rng_state(), random.getstate(), numpy_state()
    assert same_numbers(train_pack(members[:1], splits)[0], alone[0])
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert numpy_state() == before[2]


def numpy_state():
    _, keys, *rest = np.random.get_state()  # noqa: NPY002  The legacy state is what is watched.
    return keys.tolist(), rest


def test_data_that_others_were_trained_on_give_the_same_numbers(splits, members, alone):
    """Prepared data are shared by all the packs of a worker: no training may write to them."""
    data = PreparedSplits(splits)
    for _ in range(2):
        for member, before in zip(members, alone, strict=True):
            assert same_numbers(train_pack([member], data)[0], before)


def test_training_leaves_the_data_as_they_were(splits, alone):
    fresh = generate_planted(RECIPE).splits
    for before, after in ((fresh.train, splits.train), (fresh.valid, splits.valid)):
        np.testing.assert_array_equal(before.labels, after.labels)
        for modality in MODALITIES:
            np.testing.assert_array_equal(before.features[modality], after.features[modality])


def test_another_process_gives_the_same_numbers(start, train):
    code = """
import json, torch
from msa_core.config.schema import Config
from msa_core.data.planted import PlantedConfig, generate_planted
from spaces.fields.paths import replace
from tests.cases.train_pack import Member, train_pack
torch.set_num_threads(1)
splits = generate_planted(replace(PlantedConfig(), {recipe})).splits
(result,) = train_pack([Member(replace(Config(), {changes}), 0)], splits)
print(json.dumps(result.curve))
"""
    config = replace(start, EVERYTHING)
    changes = {path: value_at(config, path) for path in fields_of(Config)}
    recipe = {path: value_at(RECIPE, path) for path in fields_of(PlantedConfig)}
    code = code.replace("{recipe}", repr(recipe)).replace("{changes}", repr(changes))
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=True)
    assert json.loads(done.stdout) == train(EVERYTHING).curve
