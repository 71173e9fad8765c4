"""What pairs of modalities say of the label: estimated once, and never a reason to stop."""

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from msa_core.analysis import shared_information as analysis
from msa_core.config.planted import PlantedConfig
from msa_core.core import CORE
from msa_core.data.dataset import Dataset, Split
from msa_core.data.load import load_dataset
from msa_core.data.planted import generate_planted
from search.results.plan_facts import manifest_of, with_tags
from search.results.shared_information import (
    MODALITIES,
    InformationEstimation,
    keep_information,
    read_information,
)
from spaces.plan.arms_on_data import Versions
from spaces.plan.plan import plan_study
from spaces.study_file.load import find_study, load_study


@pytest.fixture(scope="module")
def copied() -> Dataset:
    """Text tells the label, audio is a copy of it, vision is noise."""
    made = generate_planted(PlantedConfig(train=300, valid=64, test=64, steps=2, width=3))
    rng = np.random.default_rng(5)

    def told(split: Split) -> Split:
        text = np.repeat(split.labels[:, None, None], 3, axis=2).astype(np.float32)
        noise = rng.normal(size=text.shape).astype(np.float32)
        features = {"text": text, "audio": 7 * text + 3, "vision": noise}
        return replace(
            split, features=features, lengths={name: np.ones(len(text), int) for name in features}
        )

    splits = replace(made.splits, train=told(made.splits.train))
    return replace(made, splits=splits, fingerprint="copied")


def test_it_is_made_once_for_each_data_set(
    copied: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_information(tmp_path, "copied") == ()
    keep_information(tmp_path, CORE, copied)
    kept = read_information(tmp_path, "copied")
    assert len(kept) == 3
    monkeypatch.setattr(analysis, "estimate_shared_information", lambda dataset: [])
    keep_information(tmp_path, CORE, copied)
    assert read_information(tmp_path, "copied") == kept
    assert read_information(tmp_path, "other data") == ()
    keep_information(tmp_path, CORE, replace(copied, fingerprint="other data"))
    assert json.loads((tmp_path / MODALITIES).read_text())["data"] == "other data"


@pytest.mark.parametrize("text", ["{", "[]", '{"data": "x"}', '{"data": "x", "pairs": [{"a": 1}]}'])
def test_a_damaged_file_says_nothing_and_is_made_again(
    text: str, copied: Dataset, tmp_path: Path
) -> None:
    (tmp_path / MODALITIES).write_text(text)
    assert read_information(tmp_path, "x") == ()
    keep_information(tmp_path, CORE, copied)
    assert len(read_information(tmp_path, "copied")) == 3


def test_a_failure_is_a_note(copied: Dataset, tmp_path: Path) -> None:
    (tmp_path / MODALITIES).mkdir()  # nothing can be written there
    said: list[str] = []
    InformationEstimation(tmp_path, CORE, copied, said.append).wait()
    (line,) = said
    assert line.startswith("note: what the modalities share is not estimated: ")


def test_nobody_waits_longer_than_wanted(
    copied: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = threading.Event()
    monkeypatch.setattr(
        analysis, "estimate_shared_information", lambda dataset: done.wait(30) and []
    )
    estimation = InformationEstimation(tmp_path, CORE, copied, print)
    estimation.wait(0.05)
    assert not (tmp_path / MODALITIES).exists()
    done.set()
    estimation.wait()
    assert (tmp_path / MODALITIES).exists()


def test_one_modality_has_no_pair(copied: Dataset) -> None:
    train = copied.splits.train
    splits = replace(copied.splits, train=replace(train, features={"text": train.features["text"]}))
    assert analysis.estimate_shared_information(replace(copied, splits=splits)) == []


def test_test_utterances_are_told_apart_where_they_differ(
    small_data: Dataset, small_study_text: str, tmp_path: Path
) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(small_study_text, encoding="utf-8")
    plan = plan_study(load_study(find_study(str(path))), Versions(data="", code=""))
    tags = with_tags(manifest_of(plan, small_data, "uri"), CORE, small_data).tags
    assert list(tags) == [
        "sentiment strength", "text length", "audio length", "vision length",
        "text conflict", "audio conflict", "vision conflict",
    ]  # fmt: skip
    assert all(len(found) == len(small_data.test) for found in tags.values())
    assert set(tags["text conflict"]) == {"agreement", "conflict"}
    alike = {name: np.ones_like(lengths) for name, lengths in small_data.test.lengths.items()}
    bare = replace(small_data, test=replace(small_data.test, lengths=alike, unimodal_labels={}))
    known = with_tags(manifest_of(plan, bare, "uri"), CORE, bare)
    assert list(known.tags) == ["sentiment strength"]


def test_mosi_is_estimated(shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    data = load_dataset(shared_data("mosi_utterance.pkl"), "mosi")
    keep_information(tmp_path, CORE, data)
    pairs = read_information(tmp_path, data.fingerprint)
    assert len(pairs) == 3 and all(pair.utterances == 1447 for pair in pairs)
    assert pairs[0].total.p == pytest.approx(1 / 200)  # text tells something of the label
