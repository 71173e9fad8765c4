"""Every module's options say where it comes from, in words and in keys, without PyTorch."""

import subprocess
import sys

import pytest

from msa_core.config.kinds import FAMILIES, kinds_of, module_of, options_class
from msa_core.config.schema import Config
from msa_core.plugins import PluginError, config_with
from msa_core.reference.citations import cited_by
from msa_core.reference.modules_page import SWITCHES
from msa_core.reference.sources import (
    declared_in,
    documented_paragraph,
    source_of_kind,
    sources_of,
)
from spaces.core import SourceFile
from spaces.fields.declaration import ConfigError
from spaces.fields.paths import fields_of, replace
from tests.cases.paths import REPOSITORY

KINDS = [(family, kind) for family in FAMILIES for kind in kinds_of(Config, family)]
SHOUTING = """\
from dataclasses import dataclass
from typing import ClassVar
from msa_core.config.fusion import MisaOptions
from msa_core.modules.fusion.vector_fusions import Fusion
from msa_core.plugins import FusionOptions, field, fusion

@dataclass(frozen=True, kw_only=True, slots=True)
class LoudOptions({base}):
    volume: int = field(11, "how loud", "volume")
    {declared}

@fusion("loud", LoudOptions)
class Loud(Fusion):
    \"\"\"It shouts.

    Source: Tufnel 1984.
    \"\"\"
"""
LOUD = {"model.fusion.kind": "loud"}


@pytest.fixture
def shouting():
    """Makes the class of configurations of a plugin whose options have a line more."""

    def use(declared="", base="FusionOptions"):
        return config_with((SourceFile("loud.py", SHOUTING.format(declared=declared, base=base)),))

    return use


@pytest.mark.parametrize(("family", "kind"), KINDS)
def test_a_kind_declares_its_source_and_its_references_itself(family, kind):
    options = options_class(Config, family, kind)
    declared = vars(options)  # What it inherits it has not decided.
    assert declared.get("source"), f"{options.__name__} has no `source`"
    assert "cites" in declared, f"{options.__name__} has no `cites`"
    assert declared["cites"] or declared["source"].startswith("common practice")
    assert "\n" not in options.source
    assert options.source == options.source.strip(" .")


@pytest.mark.parametrize(("family", "kind"), KINDS)
def test_a_docstring_names_no_other_source_than_the_options(family, kind):
    assert documented_paragraph(module_of(Config, family, kind), "Source") in (
        "",
        source_of_kind(Config, family, kind),
    )


def test_declarations_are_no_fields():
    names = {path.rpartition(".")[2] for path in fields_of(Config)}
    assert not names & {"source", "cites", "changes"}


def test_every_switch_outside_the_families_has_a_source():
    for switch in (switch for switches in SWITCHES.values() for switch in switches):
        said = sources_of(Config, switch.path)
        source = said.get(switch.on) or said[""]
        assert source
        if switch.module:
            assert documented_paragraph(switch.module, "Source") in ("", source)


def test_origins_belong_to_values_that_there_are():
    for path, (info, _) in fields_of(Config).items():
        assert set(info.origins) <= set(info.choices or ("",)), path


def test_a_field_has_the_source_of_its_module():
    assert sources_of(Config, "loss.alignment.cca.ridge") == {
        "": source_of_kind(Config, "alignment", "cca")
    }
    assert set(sources_of(Config, "model.fusion.kind")) == set(kinds_of(Config, "fusion"))
    assert set(sources_of(Config, "loss.unimodal.kind")) == {"fixed", "ulgm"}
    assert sources_of(Config, "loss.unimodal.ulgm.start")[""].startswith("Yu et al. 2021 (Self-MM)")
    assert sources_of(Config, "missing.frames")[""].startswith("the random masks of TFR-Net")
    assert sources_of(Config, "loss.contrast.rbc.posterior") == {
        "": source_of_kind(Config, "contrast", "rbc")
    }
    assert sources_of(Config, "train.epochs") == {}


@pytest.mark.parametrize("path", sorted(fields_of(Config)))
def test_a_field_is_declared_where_it_is_said(path):
    file, _, name = declared_in(Config, path).partition(", ")
    _, _, declaration = (REPOSITORY / file).read_text().partition(f"class {name}")
    body, _, _ = declaration.partition("\n@dataclass")
    assert f"\n    {path.rpartition('.')[2]}: " in body


def test_a_plugin_s_field_has_the_source_of_its_module_s_docstring(shouting):
    extended = shouting()
    assert sources_of(extended, "model.fusion.loud.volume") == {"": "Tufnel 1984"}
    assert sources_of(extended, "model.fusion.kind")["loud"] == "Tufnel 1984"
    assert declared_in(extended, "model.fusion.loud.volume") == "loud.py, LoudOptions"
    assert cited_by(replace(extended(), LOUD)) == cited_by(Config())


def test_a_plugin_may_declare_source_and_references_on_its_options(shouting):
    extended = shouting('source = "Smalls 1992"; cites = ("zadeh2017tensor",)')
    assert sources_of(extended, "model.fusion.loud.volume") == {"": "Smalls 1992"}
    assert "zadeh2017tensor" in cited_by(replace(extended(), LOUD))


def test_options_derived_from_another_kind_s_have_not_its_source(shouting):
    extended = shouting(base="MisaOptions")
    assert source_of_kind(extended, "fusion", "loud") == "Tufnel 1984"
    assert "hazarika2020misa" not in cited_by(replace(extended(), LOUD))


def test_an_option_of_a_plugin_may_be_called_source(shouting):
    extended = shouting('source: str = field("x", "a", "b")')
    assert source_of_kind(extended, "fusion", "loud") == "Tufnel 1984"
    assert "model.fusion.loud.source" in fields_of(extended)


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ("source = 3", "`source` of the options of 'loud' must be a text"),
        ('cites = ("zadeh2017tensor")', "`cites` of the options of 'loud' must be a tuple"),
    ],
)
def test_a_plugin_s_declaration_of_another_type_is_refused(shouting, declared, said):
    with pytest.raises(PluginError, match=said):
        shouting(declared)


def test_a_plugin_that_cites_what_there_is_not_is_refused_with_the_nearest_key(shouting):
    extended = shouting('cites = ("zadeh2017tensors",)')
    with pytest.raises(ConfigError, match=r"loud' cites .*did you mean 'zadeh2017tensor'"):
        cited_by(replace(extended(), LOUD))


def test_a_docstring_s_paragraph_is_read_to_its_end():
    def module():
        """Does it.

        Formula: a = b
        + c. With c above 0.

        Source: someone
            in 1999.

        Args:
            none: at all.
        """

    assert documented_paragraph(module, "Formula") == "a = b + c"
    assert documented_paragraph(module, "Source") == "someone in 1999"
    assert documented_paragraph(module, "Raises") == ""


def test_sources_are_read_without_pytorch():
    code = (
        "import sys; from msa_core.config.schema import Config; "
        "from msa_core.reference.sources import sources_of; "
        "assert sources_of(Config, 'loss.alignment.cov.queue'); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
