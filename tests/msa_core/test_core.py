"""The core as the platform sees it: light to import, extended by plugins, and its abilities."""

import dataclasses
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from msa_core.config.fields import MODALITIES
from msa_core.config.kinds import kinds_of
from msa_core.config.planted import PlantedConfig
from msa_core.config.schema import Config
from msa_core.core import CORE, MsaCore
from msa_core.data.source import MsaSource
from msa_core.vectorised.pack_key import pack_key
from spaces import abilities
from spaces.core import DataError, Member, SourceFile
from spaces.fields.declaration import ConfigError
from spaces.fields.paths import fields_of, replace
from tests.cases.train_pack import train_pack

ABILITIES = ("VectorisedPacks", "Documented", "Grouped", "Sliced", "TimedEpochs", "Informed")
PLUGIN = SourceFile(
    "loud.py",
    """
from dataclasses import dataclass
from msa_core.modules.fusion.vector_fusions import Concat
from msa_core.plugins import FusionOptions, field, fusion

@dataclass(frozen=True, kw_only=True)
class LoudOptions(FusionOptions):
    volume: int = field(11, "how loud", "volume")

@fusion("loud", LoudOptions)
class Loud(Concat):
    pass
""",
)
SMALL = replace(
    Config(),
    {
        **{f"model.{name}.width": 6 for name in MODALITIES},
        "model.projection.width": 4,
        "model.fusion.width": 8,
        "train.batch_size": 16,
        "train.epochs": 2,
    },
)


@pytest.fixture(scope="module")
def data():
    recipe = PlantedConfig(train=48, valid=24, test=12, steps=3, width=5)
    return CORE.open(MsaSource(scheme="mosi", planted=recipe))


def begin(members, prepared):
    return CORE.train(
        members,
        prepared,
        device="cpu",
        size=None,
        epoch_limit=None,
        resume={},
        identity="",
        tested=False,
        compared="",
    )


def test_it_is_imported_without_pytorch_and_scipy():
    code = (
        "import sys; from msa_core.core import CORE; CORE.config_class(); CORE.source_schema(); "
        "CORE.information_method; print(sorted({'torch', 'scipy', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("ability", ABILITIES)
def test_it_has_every_ability(ability):
    assert isinstance(CORE, getattr(abilities, ability))


def test_it_is_a_value():
    assert MsaCore() == CORE
    extended = CORE.with_plugins([PLUGIN])
    assert extended == MsaCore((PLUGIN,)) != CORE
    assert extended.with_plugins([]) == CORE
    copy = pickle.loads(pickle.dumps(extended))
    assert copy == extended
    assert copy.config_class is extended.config_class


def test_plugins_extend_its_configurations():
    extended = CORE.with_plugins([PLUGIN])
    assert "loud" in kinds_of(extended.config_class, "fusion")
    assert CORE.config_class is Config
    assert extended.switch_text("model.fusion.loud.volume") == "'model.fusion.kind: loud'"
    with pytest.raises(ConfigError, match=r"^loud\.py:1: "):
        CORE.with_plugins([SourceFile("loud.py", "1 / 0")])


def test_what_a_plugin_has_added_is_named():
    assert CORE.with_plugins([PLUGIN]).added_by(PLUGIN) == "fusion 'loud'"
    assert CORE.added_by(PLUGIN) == ""


def test_a_plugin_is_used_where_a_kind_of_it_can_be_chosen():
    extended = CORE.with_plugins([PLUGIN])
    plain = extended.config_class()
    loud = replace(plain, {"model.fusion.kind": "loud"})
    assert extended.used_plugins(plain, {}) == ()
    assert extended.used_plugins(loud, {}) == (PLUGIN,)
    assert extended.used_plugins(plain, {"model.fusion.kind": ("sum", "loud")}) == (PLUGIN,)
    assert extended.used_plugins(loud, {"model.fusion.kind": ("sum", "concat")}) == ()


def test_a_configuration_that_trains_alone_has_no_pack_key():
    lstm = replace(SMALL, {"model.text.encoder": "lstm"})
    assert CORE.pack_key(SMALL, "cpu") == pack_key(SMALL)
    assert CORE.pack_key(lstm, "cpu") == ""
    assert CORE.pack_key(lstm, "cuda") == pack_key(lstm)
    assert CORE.sequential_kinds() == {"lstm": CORE.sequential_reason(lstm, "cpu")}


def test_its_data_tell_what_the_platform_needs(data):
    assert data.counts == {"train": 48, "valid": 24, "test": 12}
    assert list(data.test_labels) == list(data.test.labels)
    assert data.facts.modalities == MODALITIES
    assert data.facts.annotated == tuple(data.splits.train.unimodal_labels)
    assert CORE.data_notes(data.facts) == []
    with pytest.raises(DataError, match="names no data"):
        CORE.open(MsaSource(scheme="mosi"))


def test_what_it_trains_and_evaluates_is_what_the_modules_do(data):
    members = [Member(SMALL, seed) for seed in (1, 2)]
    prepared, test = CORE.prepare(data, [SMALL])
    training = begin(members, prepared)
    training.train_for(60.0)
    direct = train_pack(members, data.splits)
    for place, expected in enumerate(direct):
        found = training.result(place)
        assert (found.status, found.curve) == (expected.status, expected.curve)
        assert found.parameters == sum(t.numel() for t in expected.trained.state.values())
        evaluation = CORE.evaluate(found, test, device="cpu")
        assert len(evaluation.predictions) == 12
        metric = CORE.tasks["mosi"]["mae"]
        error = metric.combine(metric.terms(evaluation.predictions, data.test_labels).mean(axis=0))
        assert evaluation.metrics["mae"] == pytest.approx(float(error))


def test_a_training_that_never_began_has_no_parameters(data):
    prepared, _ = CORE.prepare(data, [])
    assert begin([Member(SMALL, 1)], prepared).result(0).parameters is None


def test_a_prepared_split_is_ready_for_its_configurations(data):
    prepared, _ = CORE.prepare(data, [SMALL])
    assert prepared._arrays
    assert not CORE.prepare(data, [])[0]._arrays


def test_groups_are_sections_of_fields(data):
    groups = CORE.groups
    for section in groups.sections.values():
        info, _ = fields_of(Config)[f"{section}.{groups.switch}"]
        assert groups.off in info.choices
        assert f"{section}.{groups.detail}" in fields_of(Config)


def test_a_switch_is_named_for_options_of_kinds_alone():
    assert CORE.switch_text("loss.alignment.cov.queue") == (
        "'loss.alignment.<pair>.measure: cov' of a pair that is not off"
    )
    assert CORE.switch_text("loss.contrast.icl.weight") == "'loss.contrast.icl.use: true'"
    assert CORE.switch_text("train.epochs") == ""


def test_papers_of_configurations_and_analyses_are_in_its_bibliography():
    keys = {*CORE.cites(Config()), *CORE.information_cites}
    assert keys <= set(CORE.references())


def test_a_restricted_configuration_reads_what_the_data_have(data):
    facts = CORE.open(MsaSource(scheme="mosi", planted=PlantedConfig(train=8, valid=4))).facts
    without = type(facts)(modalities=("text", "vision"))
    assert not CORE.restrict(Config(), without).model.audio.use
    assert CORE.restrict(Config(), facts) == Config()
    assert CORE.data_notes(without) == ["the data has no audio: it is switched off in every arm"]


def test_an_epoch_is_timed_on_a_part(data):
    part, share = CORE.thin(data)
    assert 0 < share <= 1
    fixed, member = CORE.epoch_seconds(SMALL, part)
    assert fixed >= 0 and member >= 0 and fixed + member > 0
    lstm = replace(SMALL, {"model.text.encoder": "lstm"})
    fixed, member = CORE.epoch_seconds(lstm, part)
    assert fixed == 0 and member > 0


def test_a_source_of_a_file_on_the_command_line_replaces_the_generator():
    source = CORE.parse_source("planted", Path())
    assert source.is_named
    given = source.at_file(Path("mosi.pkl"))
    assert (given.file, given.planted, given.scheme) == (Path("mosi.pkl"), None, "mosi")


def test_tags_tell_test_utterances_apart(data):
    tags = CORE.test_tags(data)
    assert "sentiment strength" in tags
    for values in tags.values():
        assert len(values) == 12
        assert len(set(values)) > 1
        assert all(type(value) is str for value in values)


def test_equal_utterances_are_not_told_apart(data):
    test = dataclasses.replace(
        data.test,
        labels=np.zeros(12, np.float32),
        lengths={name: np.ones(12, np.int64) for name in data.test.lengths},
        unimodal_labels={},
    )
    assert CORE.test_tags(dataclasses.replace(data, test=test)) == {}
