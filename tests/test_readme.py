"""What the README shows is true."""

import re
from pathlib import Path

import pytest

from spaces.errors import StudyError
from spaces.study_file.load import load_study
from tests.cases.paths import REPOSITORY

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
(EXAMPLE,) = re.findall(r"```yaml\n(.*?)```", README, flags=re.DOTALL)


def test_the_example_study_is_a_study(tmp_path: Path) -> None:
    path = tmp_path / "pairs.yaml"
    path.write_text(EXAMPLE, encoding="utf-8")
    study = load_study(path)
    assert [arm.name for arm in study.arms] == ["full", "without text", "aligned"]


def test_the_message_for_a_misspelt_field_is_the_one_shown(tmp_path: Path) -> None:
    path = tmp_path / "pairs.yaml"
    (searched,) = re.findall(r"  loss.alignment.text_audio.weight: {.*", EXAMPLE)
    misspelt = searched.replace("text_audio", "text_audo")
    path.write_text(EXAMPLE.replace(searched, misspelt), encoding="utf-8")
    with pytest.raises(StudyError) as caught:
        load_study(path)
    assert str(caught.value) in README.splitlines()
