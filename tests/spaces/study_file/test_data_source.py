"""The `data` part of a study: files, text models and named planted worlds."""

from collections.abc import Callable
from pathlib import Path

import pytest

from msa_core.config.planted import WORLDS, PlantedConfig
from msa_core.data.source import MsaSource
from spaces.errors import StudyError
from spaces.study_file.load import load_study

WriteStudy = Callable[[str], Path]

STUDY = """\
study: worlds
question: Which world?
arms:
  - explicit: {full: {}, summed: {model.fusion.kind: sum}}
margin: {mae: 0.05}
budget: {candidates: 2}
"""


@pytest.fixture
def data_of(write_study: WriteStudy) -> Callable[..., MsaSource]:
    """Reads a study whose last line is its `data` part."""

    def read(data: str, *overrides: str) -> MsaSource:
        source = load_study(write_study(f"{STUDY}data: {data}\n"), overrides).data
        assert isinstance(source, MsaSource)
        return source

    return read


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("quote", ["", "'"])
def test_a_world_is_its_recipe(data_of: Callable[..., MsaSource], world: str, quote: str) -> None:
    # Without quotes, YAML takes `null` for nothing.
    assert data_of(f"{{planted: {{world: {quote}{world}{quote}}}}}").planted == WORLDS[world]


def test_settings_change_a_world_in_whatever_order(data_of: Callable[..., MsaSource]) -> None:
    first = data_of("{planted: {world: synergy, train: 500, noise: 0.05, synergy: 0.65}}").planted
    second = data_of("{planted: {synergy: 0.65, noise: 0.05, train: 500, world: synergy}}").planted
    expected = PlantedConfig(shared=0.15, text_private=0.15, synergy=0.65, noise=0.05, train=500)
    assert first == second == expected


def test_no_world_is_the_default_recipe(data_of: Callable[..., MsaSource]) -> None:
    assert data_of("planted").planted == PlantedConfig()
    assert data_of("{planted: {}}").planted == PlantedConfig()
    assert data_of("{planted: }").planted == PlantedConfig()


def test_a_world_can_be_set_from_outside(data_of: Callable[..., MsaSource]) -> None:
    found = data_of("{planted: {train: 50}}", "data.planted.world=noisy").planted
    assert found is not None
    assert (found.noise, found.train) == (WORLDS["noisy"].noise, 50)


def test_a_text_model_is_a_folder_beside_the_study(
    data_of: Callable[..., MsaSource], tmp_path: Path
) -> None:
    found = data_of("{file: mosi.pkl, text_model: models/bert}")
    assert found.file == tmp_path / "mosi.pkl"
    assert found.text_model == tmp_path / "models" / "bert"
    assert data_of("{text_model: /models/bert}").text_model == Path("/models/bert")
    assert data_of("{file: mosi.pkl}").text_model is None


def test_sims_labels_have_their_own_metrics(write_study: WriteStudy) -> None:
    text = STUDY + "data: {file: sims.pkl, labels: sims}\n"
    assert load_study(write_study(text + "metric: acc2\n")).data.scheme == "sims"
    with pytest.raises(StudyError, match="'acc7' is not a metric of the 'sims' labels"):
        load_study(write_study(text + "metric: acc7\n"))


MISTAKES = {
    "{planted: {world: synergi}}": (
        "data.planted.world: must be one of additive, synergy, null, text_private, imbalanced, "
        "noisy, but got 'synergi'; did you mean 'synergy'?"
    ),
    "{planted: synergy}": (
        "data.planted: must be a mapping of settings such as {world: synergy}, but got 'synergy'"
    ),
    "{planted: {world: 3}}": "data.planted.world: must be one of additive",
    "{planted: 3}": "data.planted: must be a mapping of settings such as {world: synergy}",
    "{planted: [synergy]}": "data.planted: must be a mapping of settings",
    "{planted: {world: synergy, noise: 0.5}}": "must be 1, but got 1.4",
    "{planted: {world: synergy, trian: 5}}": "'trian' is not a field; did you mean 'train'?",
    "{planted: {text_error: -1}}": "'text_error' must lie in [0, 100], but got -1",
    "{planted: {}, text_model: bert}": "it takes no file and no text_model",
    "{file: a.pkl, text_model: 3}": "data.text_model: must be a path, but got 3",
    "{file: a.pkl, text_modl: bert}": "did you mean 'text_model'?",
}


@pytest.mark.parametrize("data", MISTAKES)
def test_a_mistake_is_refused_at_its_line(data_of: Callable[..., MsaSource], data: str) -> None:
    with pytest.raises(StudyError) as caught:
        data_of(data)
    assert str(caught.value).startswith("study.yaml:7: ")
    assert MISTAKES[data] in str(caught.value)
