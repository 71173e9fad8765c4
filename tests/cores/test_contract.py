"""The contract of a core (`spaces.core`), held by the core that ships and by other kinds of it."""

import dataclasses
import math
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spaces.core import Core, Data, Member, SettingError, SourceFile, Status
from spaces.fields.declaration import ConfigError, Value
from spaces.fields.paths import default_of, fields_of, flatten, replace, value_at
from spaces.find_core import find_core
from tests.cases.function_code import FILES


@dataclass(frozen=True, kw_only=True)
class Case:
    """A core, with what its trainings need to be short.

    Attributes:
        core: Name of the core.
        files: Files that it is made of.
        data: A data source of a study file.
        task: Task that goes with it.
        quick: Fields of a training of a few epochs.
        refused: Fields that do not go together; empty where the core knows no such rule.
        other: A field's value with which a training has other numbers.
    """

    core: str
    files: tuple[SourceFile, ...] = ()
    data: Mapping[str, Any]
    task: str = ""
    quick: Mapping[str, Value]
    refused: Mapping[str, Value]
    other: Mapping[str, Value]


CASES = {
    "msa": Case(
        core="msa",
        data={"planted": {"train": 64, "valid": 32, "test": 32}},
        quick={"train.epochs": 3},
        refused={f"model.{name}.use": False for name in ("text", "audio", "vision")},
        other={"train.learning_rate": 1e-2},
    ),
    "ridge": Case(
        core="tests.cases.ridge_core:CORE",
        data={"rows": 60},
        quick={"fit.rounds": 3},
        refused={"input.first": False},
        other={"fit.strength": 100.0},
    ),
    "function": Case(
        core="train.py",
        files=FILES,
        data={},
        task="binary",
        quick={"epochs": 3},
        refused={},
        other={"learning_rate": 0.1},
    ),
}


@pytest.fixture(scope="module", params=sorted(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture(scope="module")
def core(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Core:
    folder = tmp_path_factory.mktemp("code")
    for file in case.files:
        (folder / file.name).write_text(file.text, encoding="utf-8")
    files = [dataclasses.replace(file, folder=folder) for file in case.files]
    return find_core(case.core).with_plugins(files)


@pytest.fixture(scope="module")
def config(case: Case, core: Core) -> Any:
    return replace(default_of(core.config_class), case.quick)


@pytest.fixture(scope="module")
def data(case: Case, core: Core) -> Data:
    return core.open(core.parse_source(case.data, Path(), case.task))


def train(core: Core, data: Data, members: list[Member], **how: Any) -> Any:
    """A training of members to their end."""
    prepared, _ = core.prepare(data, [member.config for member in members])
    options: dict[str, Any] = {
        "device": "cpu",
        "size": None,
        "epoch_limit": None,
        "resume": {},
        "identity": "test",
        "tested": True,
        "compared": "",
    }
    training = core.train(members, prepared, **{**options, **how})
    training.train_for(math.inf)
    assert training.finished
    return training


def test_a_core_is_found_by_its_name_and_is_a_value(case: Case, core: Core) -> None:
    assert core.name == case.core
    assert find_core(case.core).with_plugins(core.plugins) == core
    again = pickle.loads(pickle.dumps(core))
    assert (again, hash(again)) == (core, hash(core))
    assert find_core(case.core) is find_core(case.core)


def test_every_field_has_a_default_that_it_allows(core: Core) -> None:
    default = default_of(core.config_class)
    assert fields_of(core.config_class)
    assert replace(default, flatten(default)) == default
    for path, (info, _) in fields_of(core.config_class).items():
        assert info.meaning and info.label, path


def test_a_configuration_is_pickled_as_it_is(core: Core, case: Case) -> None:
    config = replace(default_of(core.config_class), case.other)
    assert pickle.loads(pickle.dumps(config)) == config


def test_what_is_resolved_means_something(core: Core, config: Any) -> None:
    resolved = core.resolve(config)
    assert resolved
    for path, value in resolved.items():
        assert core.is_active(config, path)
        assert value_at(config, path) == value
    assert resolved.items() <= core.usable_fields(config, {}).items()


def test_fields_that_do_not_go_together_are_refused(case: Case, core: Core, config: Any) -> None:
    for scheme in core.tasks if case.refused else ():
        with pytest.raises(ConfigError):
            core.check(replace(config, case.refused), scheme)


def test_a_task_has_metrics_of_predictions_against_labels(
    case: Case, core: Core, data: Data
) -> None:
    for task in core.tasks.values():
        assert [metric.name for metric in task.values()] == list(task)
    labels = data.test_labels
    for metric in core.tasks[core.parse_source(case.data, Path(), case.task).scheme].values():
        assert np.isfinite(score_of(metric, labels, labels))


def score_of(metric: Any, predictions: Any, labels: Any) -> float:
    """A metric of predictions: of the means of its terms, or as it is where it has none."""
    if not hasattr(metric, "terms"):
        return float(metric.score(predictions, labels))
    terms = metric.terms(predictions, labels)
    assert len(terms) == len(labels)
    return float(metric.combine(terms.mean(axis=0)))


def test_a_source_is_read_back_as_it_was(case: Case, core: Core) -> None:
    source = core.parse_source(case.data, Path(), case.task)
    assert core.parse_source(core.write_source(source), Path(), case.task) == source
    assert source.is_named
    assert source.scheme in core.tasks
    with pytest.raises(SettingError) as caught:
        core.parse_source({**case.data, "nonsense": 1}, Path(), case.task)
    assert caught.value.path == ("nonsense",)
    assert core.parse_source("x.npz", Path("a"), case.task).file == Path("a/x.npz")


def test_equal_data_have_one_fingerprint(case: Case, core: Core, data: Data) -> None:
    again = core.open(core.parse_source(case.data, Path(), case.task))
    assert again.fingerprint == data.fingerprint
    assert data.source
    assert data.counts["test"] == len(data.test_labels)


def test_what_is_on_these_data_stays_on(core: Core, config: Any, data: Data) -> None:
    assert core.restrict(config, data.facts) == config
    assert not core.data_notes(data.facts)
    core.check_data(config, {}, data.facts)


def test_test_is_apart_from_what_trains(core: Core, config: Any, data: Data) -> None:
    """Nothing of the test split is in what a training is given."""
    prepared, test = core.prepare(data, [config])
    content = pickle.dumps(prepared)
    assert np.asarray(data.test_labels).tobytes() not in content
    assert test is not None


def test_a_member_has_the_same_numbers_in_every_pack(core: Core, config: Any, data: Data) -> None:
    alone = train(core, data, [Member(config, 1)]).result(0)
    other = replace(config, {})
    beside = train(core, data, [Member(other, 0), Member(config, 1), Member(other, 2)]).result(1)
    assert alone.status == beside.status == Status.COMPLETE
    assert dict(alone.valid) == dict(beside.valid)
    assert {n: list(v) for n, v in alone.curve.items()} == {
        n: list(v) for n, v in beside.curve.items()
    }


def test_seed_and_configuration_decide(case: Case, core: Core, config: Any, data: Data) -> None:
    members = [Member(config, 0), Member(config, 1), Member(replace(config, case.other), 0)]
    training = train(core, data, members)
    curves = [str(training.result(place).curve) for place in training.positions]
    assert len(set(curves)) == 3


def test_a_training_ends_after_its_epochs(core: Core, config: Any, data: Data) -> None:
    training = train(core, data, [Member(config, 0)])
    found = training.result(0)
    assert found.epochs == training.epochs_trained()[0] <= core.epochs(config)
    assert 1 <= found.best_epoch <= found.epochs
    assert training.ended_positions() == [0]
    assert found.parameters is None or found.parameters > 0
    assert found.seconds > 0
    assert core.expected_epochs(config) <= core.epochs(config)


def test_a_stopped_member_is_pruned_and_the_others_go_on(
    core: Core, config: Any, data: Data
) -> None:
    prepared, _ = core.prepare(data, [config])
    training = core.train(
        [Member(config, 0), Member(config, 1)], prepared, device="cpu", size=None,
        epoch_limit=None, resume={}, identity="test", tested=False, compared="",
    )  # fmt: skip
    epoch, seen = training.advance_epoch()
    assert (epoch, set(seen)) == (1, {0, 1})
    training.stop_members([0])
    training.train_for(math.inf)
    assert training.result(0).status == Status.PRUNED
    assert training.result(0).epochs == 1
    assert training.result(0).reason
    assert training.result(1).status == Status.COMPLETE
    assert training.metrics_after(1)[1] == seen[1]


def test_a_checkpoint_changes_no_number(core: Core, config: Any, data: Data) -> None:
    prepared, _ = core.prepare(data, [config])
    how: dict[str, Any] = {
        "device": "cpu", "size": None, "epoch_limit": None, "identity": "test", "tested": False,
        "compared": "",
    }  # fmt: skip
    training = core.train([Member(config, 1)], prepared, resume={}, **how)
    training.advance_epoch()
    kept = training.member_checkpoints()
    resumed = core.train([Member(config, 1)], prepared, resume=kept, **how)
    assert resumed.epoch == (1 if kept else 0)
    resumed.train_for(math.inf)
    whole = train(core, data, [Member(config, 1)]).result(0)
    assert dict(resumed.result(0).valid) == dict(whole.valid)
    foreign = core.train(
        [Member(config, 1)], prepared, resume=kept, **{**how, "identity": "another"}
    )
    assert foreign.epoch == 0


def test_metrics_are_those_of_the_predictions(
    case: Case, core: Core, config: Any, data: Data
) -> None:
    _, test = core.prepare(data, [config])
    found = core.evaluate(train(core, data, [Member(config, 1)]).result(0), test, device="cpu")
    task = core.tasks[core.parse_source(case.data, Path(), case.task).scheme]
    assert len(found.predictions) == len(data.test_labels)
    for name, value in found.metrics.items():
        assert score_of(task[name], found.predictions, data.test_labels) == pytest.approx(value)


def test_what_is_cited_is_in_the_bibliography(core: Core, config: Any) -> None:
    for key in core.cites(config):
        assert core.references()[key].startswith("@")


def test_cells_that_share_a_pack_key_train_in_one_step_or_alone(core: Core, config: Any) -> None:
    key = core.pack_key(config, "cpu")
    assert core.pack_key(replace(config, {}), "cpu") == key
