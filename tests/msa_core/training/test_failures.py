"""Every kind of failure is found, said with its log, and nobody else's."""

import itertools
import signal
from dataclasses import replace as dataclass_replace

import numpy as np
import pytest
import torch

from msa_core.config.fields import MODALITIES
from msa_core.config.planted import PlantedConfig
from msa_core.config.schema import Config
from msa_core.data.planted import generate_planted
from msa_core.data.prepared import PreparedSplits
from msa_core.metrics import score_predictions
from msa_core.procedures.base import Procedure
from msa_core.training import member_run as runs
from msa_core.training.pack_training import PackTraining
from msa_core.vectorised import stack as stack_module
from spaces.core import Member
from spaces.failures import (
    LOG_LINES,
    EpochTimeout,
    FailureKind,
    describe_failure,
    kind_of,
    last_lines,
)
from spaces.fields.paths import replace
from tests.cases.train_pack import train_pack

SMALL = replace(
    Config(),
    {
        **{f"model.{name}.width": 8 for name in MODALITIES},
        "model.projection.width": 4,
        "model.fusion.width": 8,
        "train.learning_rate": 0.01,
        "train.epochs": 4,
        "train.batch_size": 32,
    },
)
MEMBERS = [Member(SMALL, seed) for seed in range(5)]
BAD = 3  # the place, and the seed, of the member that fails


@pytest.fixture(scope="module")
def splits():
    recipe = PlantedConfig(train=48, valid=32, test=2, steps=3, width=6)
    return PreparedSplits(generate_planted(recipe).splits)


@pytest.fixture(scope="module")
def healthy(splits):
    return train_pack(MEMBERS, splits)


def endless(*_):
    """A hang, at whose first moment the time is already up."""
    while True:
        signal.raise_signal(signal.SIGALRM)


def out_of_memory(*_):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3 GiB")


def broken(*_):
    raise ArithmeticError("planted")


def fails_in_epoch(monkeypatch, failure, when):
    """Let a stack fail in an epoch as long as a member is in it."""
    before = stack_module.Stack.train_epoch

    def spoilt(stack, epoch):
        if epoch == when and any(member.seed == BAD for member in stack._members):
            failure()
        return before(stack, epoch)

    monkeypatch.setattr(stack_module.Stack, "train_epoch", spoilt)


def check(results, healthy, kind, reason, epochs):
    failed = results[BAD]
    assert (failed.status, failed.kind, failed.epochs) == ("failed", kind, epochs)
    assert failed.reason == reason
    assert failed.trained is None
    assert 1 < len(failed.log.splitlines()) <= LOG_LINES
    assert failed.log.splitlines()[-1].endswith(reason)
    for place, result in enumerate(results):
        if place != BAD:
            assert (result.status, result.kind, result.log) == ("complete", "", "")
            assert result.curve == healthy[place].curve
            assert result.valid == healthy[place].valid


WAYS = {
    FailureKind.EXCEPTION: (broken, "ArithmeticError: planted"),
    FailureKind.OUT_OF_MEMORY: (
        out_of_memory,
        "OutOfMemoryError: CUDA out of memory. Tried to allocate 3 GiB",
    ),
    FailureKind.TIMEOUT: (endless, "EpochTimeout: an epoch took longer than 600 s"),
}


@pytest.mark.parametrize("kind", WAYS)
@pytest.mark.parametrize("when", [1, 3])
def test_a_member_that_fails_is_found_by_its_kind(splits, healthy, kind, when, monkeypatch):
    failure, reason = WAYS[kind]
    fails_in_epoch(monkeypatch, failure, when)
    training = PackTraining(MEMBERS, splits, epoch_limit=600.0)
    training.train_for()
    check(training.results(), healthy, kind, reason, when - 1)


@pytest.mark.parametrize("kind", WAYS)
def test_so_is_one_whose_start_fails_or_hangs(splits, healthy, kind, monkeypatch):
    failure, reason = WAYS[kind]
    before = stack_module.fresh_parameters
    monkeypatch.setattr(
        stack_module,
        "fresh_parameters",
        lambda model, streams: failure() if streams.seed == BAD else before(model, streams),
    )
    training = PackTraining(MEMBERS, splits, epoch_limit=600.0)
    while not training.finished:
        training.advance_epoch()
    check(training.results(), healthy, kind, reason, 0)


@pytest.mark.parametrize("kind", WAYS)
def test_so_is_one_whose_metrics_fail_or_hang(splits, healthy, kind, monkeypatch):
    failure, reason = WAYS[kind]
    calls = itertools.count()

    def watched(procedure, *_):
        return failure() if next(calls) == BAD else {}

    monkeypatch.setattr(Procedure, "validation_metrics", watched)
    training = PackTraining(MEMBERS, splits, epoch_limit=600.0)
    training.train_for()
    check(training.results(), healthy, kind, reason, 0)


def test_a_number_that_is_not_finite_is_said_with_the_epochs_before_it(
    splits, healthy, monkeypatch
):
    before = stack_module.Stack.train_epoch

    def poisoned(stack, epoch):
        if epoch == 3:
            stack.parameters.flat[BAD, 5] = float("nan")
        return before(stack, epoch)

    monkeypatch.setattr(stack_module.Stack, "train_epoch", poisoned)
    results = train_pack(MEMBERS, splits)
    check(results, healthy, FailureKind.NOT_FINITE, "the loss is not finite in epoch 3", 3)
    first, second, third, _ = results[BAD].log.splitlines()
    assert first.startswith(f"epoch 1: train.loss {results[BAD].curve['train.loss'][0]:.6g}, valid")
    assert "train.task" in second
    assert "train.loss nan" in third


def test_predictions_that_are_not_finite_are_that_kind_too(splits):
    features = splits.splits.valid.features
    huge = {name: array * np.float32(1e20) for name, array in features.items()}
    valid = dataclass_replace(splits.splits.valid, features=huge)
    spoilt = dataclass_replace(splits.splits, valid=valid)
    raw = replace(SMALL, {"features.standardise": False, "model.fusion.kind": "tfn"})
    (result,) = train_pack([Member(raw, 0)], spoilt)
    assert (result.status, result.kind) == ("failed", FailureKind.NOT_FINITE)
    assert result.reason == "the predictions on valid are not finite after epoch 1"


def test_a_metric_that_never_was_defined_is_a_number_that_is_not_finite(splits, monkeypatch):
    def without(*arguments):
        return {
            name: value for name, value in score_predictions(*arguments).items() if name != "corr"
        }

    monkeypatch.setattr(runs, "score_predictions", without)
    (result,) = train_pack([Member(replace(SMALL, {"train.monitor": "corr"}), 0)], splits)
    assert (result.status, result.kind) == ("failed", FailureKind.NOT_FINITE)
    assert result.reason == "valid.corr was undefined in every epoch"
    assert len(result.log.splitlines()) == 4 + 1


def test_a_log_has_the_last_lines_only():
    text = "\n".join(str(number) for number in range(100)) + "\n\n"
    assert last_lines(text).splitlines() == [str(number) for number in range(70, 100)]
    try:
        endless_depth(0)
    except RecursionError as error:
        assert len(describe_failure(error)[2].splitlines()) <= LOG_LINES


def endless_depth(depth):
    return endless_depth(depth + 1)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError(), FailureKind.OUT_OF_MEMORY),
        (torch.OutOfMemoryError("CUDA out of memory"), FailureKind.OUT_OF_MEMORY),
        (
            RuntimeError(
                "[enforce fail at alloc_cpu.cpp:116] . DefaultCPUAllocator: not enough memory: "
                "you tried to allocate 1 bytes"
            ),
            FailureKind.OUT_OF_MEMORY,
        ),
        (
            RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"),
            FailureKind.OUT_OF_MEMORY,
        ),
        (EpochTimeout("an epoch"), FailureKind.TIMEOUT),
        (RuntimeError("shapes"), FailureKind.EXCEPTION),
        (ValueError("not enough memory"), FailureKind.EXCEPTION),
    ],
)
def test_exceptions_have_kinds(error, kind):
    assert kind_of(error) == kind


def test_memory_of_a_gpu_is_given_back_before_each_half_asks_for_its_own(splits, monkeypatch):
    said = []

    def short(stack, members, *_, **how):
        said.append(len(members))
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(stack_module.Stack, "__init__", short)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: said.append("given back"))
    results = train_pack(MEMBERS[:3], splits, device="cuda")
    assert [size for size in said if size != "given back"] == [3, 1, 2, 1, 1]
    assert said[1::2] == ["given back"] * 5
    assert [result.kind for result in results] == [FailureKind.OUT_OF_MEMORY] * 3
