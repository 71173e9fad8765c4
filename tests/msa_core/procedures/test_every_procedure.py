"""What every procedure promises, bound to each of them: the first two laws, and that it trains.

Numbers are compared bit by bit. `tests/msa_core/vectorised/test_packs.py` has the second law at
more length.
"""

import dataclasses

import numpy as np
import pytest
import torch

from msa_core.config.fields import MODALITIES
from msa_core.config.kinds import kinds_of, module_of, options_of
from msa_core.config.planted import PlantedConfig
from msa_core.config.rules import check_config
from msa_core.config.schema import Config
from msa_core.data.planted import generate_planted
from msa_core.data.prepared import PreparedSplits
from msa_core.model import build_model, fresh_parameters
from msa_core.tensors.random_streams import Streams
from msa_core.training import groups
from msa_core.training.evaluation import evaluate
from msa_core.vectorised import stack as stack_module
from msa_core.vectorised.pack_key import pack_key, sequential_reason
from msa_core.vectorised.pack_size import measure_pack_size
from spaces.core import Member
from spaces.fields.paths import replace
from tests.cases.train_pack import train_pack

BASE = {
    **{f"model.{name}.width": 7 for name in MODALITIES},
    **{f"model.{name}.dropout": 0.3 for name in MODALITIES},
    "model.projection.width": 3,
    "model.fusion.width": 5,
    "train.batch_size": 9,
    "train.epochs": 3,
    "train.patience": 100,
}
# What each needs, and with as much of its own as it can have.
CASES = {
    "joint": {},
    "mla": {"model.fusion.kind": "sum", "procedure.mla.weights": "entropy"},
    "two_stage": {
        "loss.contrast.bound.use": True,
        "loss.contrast.bound.width": 4,
        "loss.contrast.bound.memory": 11,
    },
    "stream": {
        "procedure.stream.tasks": 2,
        "procedure.stream.buffer": 9,
        "loss.unimodal.kind": "fixed",
        "loss.unimodal.width": 16,
    },
}
FREE = {
    "mla": {"procedure.mla.bins_weight": (0.1, 0.7)},
    "two_stage": {"loss.contrast.bound.weight": (0.1, 0.3)},
    "stream": {
        "procedure.stream.replay.weight": (0.5, 1.5),
        "procedure.stream.consistency.weight": (0.4, 2.0),
    },
}


@pytest.fixture(scope="module")
def data():
    # Two batches, or one of each task: every shape of a batch costs a recording.
    return generate_planted(PlantedConfig(train=18, valid=9, test=6, steps=3, width=4))


@pytest.fixture(scope="module")
def splits(data):
    return PreparedSplits(data.splits)


@pytest.fixture(scope="module", params=kinds_of(Config, "procedure"))
def kind(request):
    return request.param


@pytest.fixture(scope="module", params=["pack", "in turn"])
def config(request, kind):
    """Of a training that packs on a CPU, and of one that does not."""
    encoder = "mean_mlp" if request.param == "pack" else "lstm"
    own = {"procedure.kind": kind, "model.text.encoder": encoder, **CASES[kind]}
    config = replace(Config(), {**BASE, **own})
    assert bool(sequential_reason(config, "cpu")) == (request.param == "in turn")
    return config


@pytest.fixture(scope="module")
def members(config, kind):
    """Different in what they may differ in."""
    members = []
    for seed in range(4):
        own = {name: values[seed % 2] for name, values in FREE.get(kind, {}).items()}
        own |= {"train.learning_rate": (0.003, 0.01)[seed % 2], "model.text.dropout": 0.1 * seed}
        members.append(Member(replace(config, own), seed))
    assert len({pack_key(member.config) for member in members}) == 1
    return members


@pytest.fixture(scope="module")
def together(members, splits):
    results = train_pack(members, splits)
    assert [result.status for result in results] == ["complete"] * len(members)
    return results


def same(first, second):
    """Whether two results agree bit by bit, in every number."""
    ends = [(r.status, r.epochs, r.best_epoch, dict(r.valid)) for r in (first, second)]
    return ends[0] == ends[1] and same_curves(first, second) and same_states(first, second)


def same_curves(first, second):
    return list(first.curve) == list(second.curve) and all(
        np.array_equal(values, second.curve[name], equal_nan=True)
        for name, values in first.curve.items()
    )


def same_states(first, second):
    states = [result.trained.state for result in (first, second)]
    return list(states[0]) == list(states[1]) and all(
        torch.equal(value, states[1][name]) for name, value in states[0].items()
    )


def test_every_procedure_is_a_kind_with_options_and_has_a_case():
    assert set(kinds_of(Config, "procedure")) == set(CASES)


def test_it_states_its_formula(kind):
    assert "Formula:" in module_of(Config, "procedure", kind).__doc__


def test_company_changes_no_number(members, together, splits):
    alone = train_pack([members[1]], splits)[0]
    assert same(alone, together[1])
    order = [3, 0, 1]
    fewer = train_pack([members[place] for place in order], splits)
    assert all(same(found, together[place]) for found, place in zip(fewer, order, strict=True))


def test_a_recorded_step_does_what_is_written(members, together, splits, request):
    if sequential_reason(members[0].config, "cpu"):
        pytest.skip("nothing is recorded")
    request.getfixturevalue("nothing_recorded")
    as_written = train_pack(members[:2], splits)
    assert all(same(*pair) for pair in zip(as_written, together[:2], strict=True))


def test_what_it_keeps_goes_on_with_the_survivors(members, together, splits):
    stops = {1: {0, 1}, 2: {2}}
    thinned = train_pack(members, splits, lambda epoch, metrics: stops.get(epoch, ()))
    assert [result.status for result in thinned] == ["pruned"] * 3 + ["complete"]
    assert same(thinned[3], together[3])


def test_a_pack_that_does_not_fit_is_halved_and_ends_the_same(
    members, together, splits, monkeypatch
):
    if sequential_reason(members[0].config, "cpu"):
        pytest.skip("there is no pack")
    before = stack_module.Stack.train_epoch

    def short(stack, epoch):
        if epoch == 2 and stack.size > 2:
            raise torch.OutOfMemoryError("not enough memory")
        return before(stack, epoch)

    monkeypatch.setattr(stack_module.Stack, "train_epoch", short)
    halved = train_pack(members[:3], splits)
    assert all(same(*pair) for pair in zip(halved, together[:3], strict=True))
    assert [result.company for result in halved] == [1, 2, 2]


def test_alone_and_in_a_pack_it_does_the_same_but_for_rounding(
    members, together, splits, monkeypatch
):
    """What is written for one member means the same under vmap: here the other way is gone."""
    other = "" if sequential_reason(members[0].config, "cpu") else "so that it is alone"
    monkeypatch.setattr(groups, "sequential_reason", lambda config, device: other)
    found = train_pack(members[:1], splits)[0].curve
    for name, values in together[0].curve.items():
        if name.startswith("train."):
            expected = pytest.approx(values, rel=2e-3, abs=1e-5, nan_ok=True)
            assert found[name] == expected, name


def test_parameters_that_nothing_reads_change_no_number(members, together, splits):
    member = members[1]
    more = dataclasses.replace(member, config=replace(member.config, {"control.unused": 5}))
    (found,) = train_pack([more], splits)
    assert same_curves(found, together[1])
    state = found.trained.state
    read = together[1].trained.state
    assert set(state) - set(read) == {"unused.weight", "unused.bias"}
    assert all(torch.equal(state[name], value) for name, value in read.items())


def test_every_parameter_is_moved_in_an_epoch(config, splits):
    once = replace(config, {"train.epochs": config.procedure.stream.tasks, "train.patience": 1})
    (result,) = train_pack([Member(once, 0)], splits)
    features = {name: array.shape[2] for name, array in splits.splits.train.features.items()}
    before = fresh_parameters(build_model(once, features), Streams(0))
    still = [n for n, after in result.trained.state.items() if torch.equal(after, before[n])]
    assert not still


def test_its_moves_are_of_blocks_that_there_are_and_its_orders_are_rows_of_train(config, splits):
    labels = torch.from_numpy(splits.splits.train.labels)
    procedure = module_of(Config, "procedure", config.procedure.kind)(config, labels, 3.0)
    features = {name: array.shape[2] for name, array in splits.splits.train.features.items()}
    blocks = {
        procedure.block_of(name) for name, _ in build_model(config, features).named_parameters()
    }
    moved, seen = set(), set()
    for epoch in range(1, config.train.epochs + 1):
        for moves in procedure.passes(epoch):
            orders = [procedure.row_order(epoch, moves[0], Streams(seed)) for seed in (0, 1)]
            for order in orders:
                assert len(set(order.tolist())) == len(order) == len(orders[0])
                seen |= set(order.tolist())
            assert not torch.equal(*orders)
            moved |= {block for move in moves for block in move.blocks}
    assert moved == blocks
    assert seen == set(range(len(labels)))


def test_it_can_be_evaluated_as_it_was_validated(data, together):
    """Valid, taken for a test split, gets the metrics that the training saw."""
    found = evaluate(together[0], data.splits.valid)
    assert found.metrics == pytest.approx(dict(together[0].valid), rel=1e-6)
    assert np.isfinite(evaluate(together[0], data.test).predictions).all()


def test_the_epoch_that_it_keeps_is_the_last_or_the_best(config, together):
    keeps_last = options_of(config, "procedure", config.procedure.kind).keeps_last
    for result in together:
        errors = result.curve["valid.mae"]
        best = result.epochs if keeps_last else int(np.argmin(errors)) + 1
        assert result.best_epoch == best
        assert result.valid["mae"] == errors[best - 1]


def test_what_it_trains_on_is_allowed_and_can_be_measured(config, splits):
    check_config(config, "mosi")
    if not sequential_reason(config, "cpu"):
        found = measure_pack_size(Member(config, 0), splits, most=2)
        assert found.size == 2
        assert all(seconds > 0 for seconds in found.seconds.values())
