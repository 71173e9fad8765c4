"""The generated page of modules, and what every module owes to its reader."""

import ast

import pytest

from msa_core.config.kinds import FAMILIES, kind_of_path, kinds_of, module_of, options_class
from msa_core.config.schema import Config
from msa_core.reference.modules_page import SWITCHES, render_page, summarise_docstring
from msa_core.reference.sources import documented_paragraph, source_of_kind
from spaces.fields.paths import fields_of
from tests.cases.paths import DOCS, REPOSITORY

TESTS = REPOSITORY / "tests" / "msa_core"
KINDS = [(family, kind) for family in FAMILIES for kind in kinds_of(Config, family)]


def test_the_page_is_what_the_command_writes():
    assert (DOCS / "modules.md").read_text(encoding="utf-8") == render_page(), "run `make docs`"


@pytest.mark.parametrize(("family", "kind"), KINDS)
def test_every_kind_says_what_it_is_with_formula_and_source(family, kind):
    module = module_of(Config, family, kind)
    # Its own, not that of the class it derives from.
    assert not isinstance(module, type) or "__doc__" in vars(module)
    for said in (
        summarise_docstring(module),
        documented_paragraph(module, "Formula"),
        source_of_kind(Config, family, kind),
    ):
        assert said
        assert "\n" not in said


def test_every_switch_outside_the_families_has_a_formula():
    for switch in (switch for switches in SWITCHES.values() for switch in switches):
        assert switch.formula or documented_paragraph(switch.module, "Formula"), switch


def known_answers():
    """Kind or switch -> the test that its declaration names."""
    for family, kind in KINDS:
        yield (family, kind), options_class(Config, family, kind).known_answer
    for switch in (switch for switches in SWITCHES.values() for switch in switches):
        info, _ = fields_of(Config)[switch.path]
        on = switch.on if switch.on in info.choices else ""
        yield (switch.path, switch.on), info.origins[on].known_answer


@pytest.mark.parametrize(("switch", "known_answer"), [*known_answers()])
def test_every_switch_has_a_known_answer(switch, known_answer):
    file, _, name = known_answer.partition("::")
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert name in names, f"{switch}: {file} has no test of that name"


def test_every_option_of_every_kind_is_on_the_page():
    text = render_page()
    for path in fields_of(Config):
        if (option := kind_of_path(Config, path)) and option[2] != "use":
            assert f"`{option[2]}` = " in text, path
    for path in fields_of(Config):
        if path.startswith(("missing.", "control.")):
            assert f"`{path}: " in text
