"""Passwords and tokens stay out of what is written, shown or sent."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.results import StudyFacts
from search.redaction import without_password, without_secrets
from search.results.folder import Manifest, read_manifest, write_manifest
from search.results.layout import PLAN
from spaces.plan.arms_on_data import Versions


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("at http://me:pa@ss/w:rd@host:5000/x and a@b", "at http://me:***@host:5000/x and a@b"),
        ("postgresql://u:p@h/db", "postgresql://u:***@h/db"),
        ("redis://:word@h", "redis://:***@h"),
        ("https://ghp_12345@github.com/x", "https://***@github.com/x"),
        ("http://h/?token=abc&y=1", "http://h/?token=***&y=1"),
        ("API_KEY=abc, x", "API_KEY=***, x"),
        ("Authorization: Bearer abcdefgh.ij", "Authorization: Bearer ***"),
        ('{"uri": "http://h:5000", "mail": "a@b"}', '{"uri": "http://h:5000", "mail": "a@b"}'),
        ("tokens=3 monkey=5 http://h:5000/a", "tokens=3 monkey=5 http://h:5000/a"),
    ],
)
def test_what_is_secret_is_hidden(text: str, expected: str) -> None:
    assert without_secrets(text) == expected
    assert without_secrets(expected) == expected


def test_values_of_the_environment_are_hidden_wherever_they_occur(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "open sesame/now")
    monkeypatch.setenv("SHORT_KEY", "abc")
    said = without_secrets("a open sesame/now b open%20sesame%2Fnow c abc")
    assert said == "a *** b *** c abc"


@pytest.mark.parametrize(
    ("uri", "kept"),
    [
        ("http://me:pa@ss/w:rd@host:5000/x?token=abc&y=1", "http://me@host:5000/x?y=1"),
        ("postgresql://u:p@h/db?password=a", "postgresql://u@h/db"),
        ("http://host:5000", "http://host:5000"),
        ("sqlite:////tmp/runs/small/mlflow.db", "sqlite:////tmp/runs/small/mlflow.db"),
    ],
)
def test_an_address_is_kept_without_its_password(uri: str, kept: str, tmp_path: Path) -> None:
    assert without_password(uri) == kept
    write_manifest(tmp_path, replace(_manifest(), tracking_uri=uri))
    assert read_manifest(tmp_path).tracking_uri == kept
    assert "w:rd" not in (tmp_path / PLAN).read_text(encoding="utf-8")


@given(password=st.text(st.characters(exclude_characters=" \"'<>", categories=["L", "N", "P"])))
def test_no_password_is_left_in_an_address(password: str) -> None:
    for show in (without_secrets, without_password):
        assert f":{password}@" not in show(f"http://me:{password}@host") or password in ("", "***")
        assert show(f"http://me:{password}@host").endswith("@host")


def _manifest() -> Manifest:
    facts = StudyFacts(
        study="small",
        question="",
        arms=("full",),
        changes={"full": {}},
        baseline="full",
        primary="mae",
        margins={},
        scheme="mosi",
        candidates=1,
        searched={"full": ()},
        tune_seeds=(1,),
        confirm_seeds=(2,),
    )
    return Manifest(
        facts=facts,
        arm_keys={"full": "k"},
        test_labels=np.zeros(2, dtype=np.float32),
        tracking_uri="",
        versions=Versions(data="", code=""),
    )
