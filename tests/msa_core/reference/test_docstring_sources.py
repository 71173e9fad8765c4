"""Sources that are read without PyTorch are those of the page of modules."""

import subprocess
import sys

import pytest

from msa_core.config.kinds import FAMILIES, kinds
from msa_core.config.paths import fields_of
from msa_core.config.schema import Config
from msa_core.plugins import Plugin, use_plugins
from msa_core.reference.docstring_sources import (
    declared_in,
    source_of_kind,
    sources_of,
    switch_sources,
)
from msa_core.reference.page import PAGES, SWITCHES, documented
from tests.cases.paths import REPOSITORY

KINDS = [(family, kind) for family in FAMILIES for kind in kinds(family)]
SHOUTING = """\
from dataclasses import dataclass
from msa_core.modules.fusion.simple import Fusion
from msa_core.plugins import FusionOptions, field, fusion

@dataclass(frozen=True, kw_only=True, slots=True)
class LoudOptions(FusionOptions):
    volume: int = field(11, "how loud", "volume")

@fusion("loud", LoudOptions)
class Loud(Fusion):
    \"\"\"It shouts.

    Source: Tufnel 1984.
    \"\"\"
"""


@pytest.mark.parametrize(("family", "kind"), KINDS)
def test_the_source_of_a_kind_is_that_of_the_page(family, kind):
    assert source_of_kind(family, kind) == documented(PAGES[family].registry[kind], "Source") != ""


def test_the_sources_of_the_other_switches_are_those_of_the_page():
    shown = [
        (switch.path, switch.on, switch.options,
         switch.source or documented(switch.module, "Source"))
        for switches in SWITCHES.values()
        for switch in switches
    ]  # fmt: skip
    assert [(own.path, own.on, own.options, own.source) for own in switch_sources()] == shown


def test_a_field_has_the_source_of_its_module():
    assert sources_of("loss.alignment.cca.ridge") == {"": source_of_kind("alignment", "cca")}
    assert set(sources_of("model.fusion.kind")) == set(kinds("fusion"))
    assert set(sources_of("loss.unimodal.kind")) == {"fixed", "ulgm"}
    assert sources_of("loss.unimodal.ulgm.start")[""].startswith("Yu et al. 2021 (Self-MM)")
    assert sources_of("missing.frames")[""].startswith("the random masks of TFR-Net")
    assert sources_of("train.epochs") == {}


@pytest.mark.parametrize("path", sorted(fields_of(Config)))
def test_a_field_is_declared_where_it_is_said(path):
    file, _, name = declared_in(path).partition(", ")
    _, _, declaration = (REPOSITORY / file).read_text().partition(f"class {name}")
    body, _, _ = declaration.partition("\n@dataclass")
    assert f"\n    {path.rpartition('.')[2]}: " in body


def test_a_plugin_s_field_has_a_source_and_a_place_too():
    use_plugins([Plugin("loud.py", SHOUTING)])
    try:
        assert sources_of("model.fusion.loud.volume") == {"": "Tufnel 1984"}
        assert sources_of("model.fusion.kind")["loud"] == "Tufnel 1984"
        assert declared_in("model.fusion.loud.volume") == "loud.py, LoudOptions"
    finally:
        use_plugins([])


def test_sources_are_read_without_pytorch():
    code = (
        "import sys; from msa_core.reference.docstring_sources import sources_of; "
        "assert sources_of('loss.alignment.cov.queue'); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
