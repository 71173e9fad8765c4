"""A study's own modules: what they add, what is refused, and the cookbook's examples at work."""

import re

import pytest

from msa_core.config.kinds import FAMILIES, added_kinds, kind_of_path, kinds_of, options_of
from msa_core.config.paths import check_value, fields_of, flatten, replace, value_at
from msa_core.config.rules import check_config, is_active, resolve_fields
from msa_core.config.schema import MODALITIES, Config, ConfigError, PlantedConfig
from msa_core.data.planted import generate_planted
from msa_core.data.prepared import PreparedSplits
from msa_core.modules.alignment.pairs import MEASURES
from msa_core.modules.contrast.contrasts import CONTRASTS
from msa_core.modules.encoders import ENCODERS
from msa_core.modules.fusion.vector_fusions import FUSIONS
from msa_core.plugins import Plugin, PluginError, kinds_added_by, read_plugin, use_plugins
from msa_core.procedures.registry import PROCEDURES
from msa_core.training import groups
from msa_core.vectorised.pack_key import Member, free_numbers, pack_key
from tests.cases.paths import DOCS
from tests.cases.train_pack import train_pack

PAGE = DOCS / "plugins.md"
COOKBOOK = {
    name: text
    for name, text in re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE.read_text(), re.DOTALL)
}
REGISTRIES = {
    "encoder": ENCODERS,
    "fusion": FUSIONS,
    "alignment": MEASURES,
    "contrast": CONTRASTS,
    "procedure": PROCEDURES,
}
PAIR = "loss.alignment.text_audio."
BY_COSINE = {PAIR + "mode": "shared", PAIR + "measure": "cosine"}
# The plugin -> how it is switched on, one of its options, and two values of it.
USES = {
    "soft_max.py": ({"model.fusion.kind": "soft_max"}, "model.fusion.soft_max.sharpness", (1, 8)),
    "last_frames.py": (
        {f"model.{name}.encoder": "last_frames" for name in MODALITIES},
        "model.encoder.last_frames.frames", (1, 4),
    ),
    "cosine.py": (BY_COSINE, "loss.alignment.cosine.power", (1.0, 3.0)),
    "ranking.py": ({"loss.contrast.ranking.use": True}, "loss.contrast.ranking.margin", (0.1, 2)),
    "task_first.py": ({"procedure.kind": "task_first"}, "procedure.task_first.repeats", (1, 2)),
}  # fmt: skip
SMALL = {
    **{f"model.{name}.width": 6 for name in MODALITIES},
    "model.projection.width": 4,
    "model.fusion.width": 8,
    "train.batch_size": 16,
    "train.epochs": 4,
    "train.learning_rate": 0.02,
}
HEAD = """
from dataclasses import dataclass
import torch
from msa_core.modules.fusion.vector_fusions import Fusion
from msa_core.plugins import *
"""
FUSION = (
    HEAD
    + """
@dataclass(frozen=True, kw_only=True)
class MineOptions(FusionOptions):
    scale: float = field(2.0, "factor", "scale", minimum=0.0, maximum=9.0, symbol="s")
@fusion("mine", MineOptions)
class Mine(Fusion):
    def forward(self, seen):
        return self.options.scale * torch.stack(list(seen.projected.values())).sum(dim=0), {}
"""
)
SCALE = "model.fusion.mine.scale"


@pytest.fixture(autouse=True)
def no_plugins_afterwards():
    yield
    use_plugins([])


@pytest.fixture(scope="module")
def splits():
    recipe = PlantedConfig(train=64, valid=24, test=2, steps=5, width=5)
    return PreparedSplits(generate_planted(recipe).splits)


def everything():
    """All that a plugin could have changed."""
    registries = {family: dict(registry) for family, registry in REGISTRIES.items()}
    return {family: kinds_of(family) for family in FAMILIES}, fields_of(Config), registries


def use(text, name="mine.py"):
    plugin = Plugin(name, text)
    use_plugins([plugin])
    return plugin


# What a plugin adds.


def test_an_option_of_a_plugin_is_a_field_like_any_other():
    use(FUSION)
    config = replace(Config(), {"model.fusion.kind": "mine", SCALE: 3})
    assert value_at(config, SCALE) == flatten(config)[SCALE] == resolve_fields(config)[SCALE] == 3.0
    assert value_at(Config(), SCALE) == 2.0
    assert SCALE not in resolve_fields(Config())
    assert is_active(config, SCALE)
    assert not is_active(Config(), SCALE)
    assert replace(Config(), flatten(config)) == replace(Config(), resolve_fields(config)) == config
    assert options_of(config, "fusion", "mine").scale == 3.0
    assert kind_of_path(SCALE) == ("fusion", "mine", "scale")
    assert "mine" in fields_of(Config)["model.fusion.kind"][0].choices
    check_config(config, "mosi")


def test_a_value_at_its_default_is_the_same_configuration_as_none():
    use(FUSION)
    assert hash(replace(Config(), {SCALE: 2.0})) == hash(Config())
    assert replace(replace(Config(), {SCALE: 3.0}), {SCALE: 2.0}) == Config()


def test_a_plain_option_is_structure_and_a_varying_one_is_not():
    use(FUSION)
    mine = replace(Config(), {"model.fusion.kind": "mine"})
    assert pack_key(mine) != pack_key(replace(mine, {SCALE: 3.0}))
    assert SCALE not in free_numbers(mine)
    use(COOKBOOK["cosine.py"])
    path = "loss.alignment.cosine.power"
    aligned = replace(Config(), BY_COSINE)
    assert pack_key(aligned) == pack_key(replace(aligned, {path: 3.0}))
    assert free_numbers(replace(aligned, {path: 3.0}))[path] == 3.0


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (-1.0, f"'{SCALE}' must lie in [0, 9], but got -1.0"),
        ("big", f"'{SCALE}' must be a number, but got 'big'"),
    ],
)
def test_a_wrong_value_of_an_option_is_refused_as_of_any_field(value, message):
    use(FUSION)
    with pytest.raises(ConfigError) as caught:
        check_value(Config, SCALE, value)
    assert str(caught.value) == message
    with pytest.raises(ConfigError, match=f"did you mean '{SCALE}'"):
        check_value(Config, SCALE.replace("scale", "sclae"), 1.0)


def test_the_width_of_a_plugins_encoder_must_divide_into_its_heads():
    use(HEAD + """
from msa_core.modules.encoders import Encoder
@dataclass(frozen=True, kw_only=True)
class HeadsOptions(EncoderOptions):
    heads: int = count(3, "heads", "heads", 9)
    def multiple(self):
        return self.heads
@encoder("heads", HeadsOptions)
class Heads(Encoder):
    pass
""")  # fmt: skip
    config = replace(Config(), {"model.audio.encoder": "heads", "model.audio.width": 9})
    check_config(config, "mosi")
    with pytest.raises(ConfigError, match=r"'heads' divides it into 3 heads"):
        check_config(replace(config, {"model.audio.width": 10}), "mosi")


# A process has the plugins of one study.


def test_plugins_of_another_study_take_the_first_ones_back():
    before = everything()
    first = use(FUSION)
    assert kinds_added_by(first) == [("fusion", "mine")]
    during = everything()
    use_plugins([first])
    assert everything() == during
    second = use(FUSION.replace('"mine"', '"other"'), "other.py")
    assert "mine" not in kinds_of("fusion")
    assert kinds_added_by(first) == []
    assert [kind for _, kind, _ in added_kinds()] == ["other"]
    use_plugins([second, first])
    assert {"mine", "other"} <= set(FUSIONS)
    use_plugins([])
    assert everything() == before


def test_a_changed_text_is_executed_anew():
    first = use(FUSION)
    changed = use(FUSION.replace("field(2.0", "field(4.0"))
    assert value_at(Config(), SCALE) == 4.0
    assert first.digest != changed.digest


def test_importing_the_file_outside_a_study_registers_nothing():
    before = everything()
    exec(FUSION, {"__name__": "somewhere"})
    assert everything() == before


REFUSED = {
    "a name of Triptych's": (
        FUSION.replace('"mine"', '"tfn"'),
        "mine.py: fusion: the name 'tfn' is Triptych's own; choose another",
    ),
    "the name of a field beside the kinds": (
        FUSION.replace('"mine"', '"width"'),
        "mine.py: fusion: the name 'width' is Triptych's own; choose another",
    ),
    "twice": (
        FUSION + FUSION,
        "mine.py: fusion: the name 'mine' is another plugin's; choose another",
    ),
    "no name": (FUSION.replace('"mine"', '"My.Fusion"'), "'My.Fusion' is no name for a kind"),
    "raises": (
        FUSION + "1 / 0\n",
        f"mine.py:{FUSION.count(chr(10)) + 1}: ZeroDivisionError: division by zero",
    ),
    "leaves": (FUSION + "raise SystemExit(3)\n", ": SystemExit: 3"),
    "no Python": ("import os\ndef f(:\n", "mine.py:2: SyntaxError: invalid syntax"),
    "a file beside it": (
        "import layers_beside_it\n",
        "mine.py:1: No module named 'layers_beside_it'; a plugin is one file and imports what is "
        "installed, not the files beside it",
    ),
    "adds nothing": ("x = 1\n", "mine.py: adds no kind; declare one with @fusion"),
    "an undeclared option": (
        FUSION.replace('field(2.0, "factor", "scale", minimum=0.0, maximum=9.0, symbol="s")', "2"),
        "mine.py: option 'scale' of 'mine' must be declared with `field(default, meaning, label)`",
    ),
    "no dataclass": (
        FUSION.replace("@dataclass(frozen=True, kw_only=True)", ""),
        "mine.py: the options of 'mine' are no dataclass; put",
    ),
    "options of another family": (
        FUSION.replace("(FusionOptions)", "(ContrastOptions)"),
        "mine.py: the options of 'mine' must derive from FusionOptions",
    ),
    "a list as an option": (
        FUSION.replace("scale: float", "scale: list"),
        "mine.py: option 'scale' of 'mine' must be a bool, int, float or str",
    ),
    "a number that members of a pack would share": (
        FUSION.replace('symbol="s"', "varies=True"),
        "mine.py: option 'scale' of 'mine' can't be `varies=True`: members of a pack hand a module "
        "of the family fusion no numbers of their own",
    ),
    "texts as types": (
        "from __future__ import annotations\n" + FUSION,
        "mine.py: the type of option 'scale' of 'mine' is a text; remove",
    ),
    "a default out of its bounds": (
        FUSION.replace("field(2.0", "field(20.0"),
        f"mine.py: default of '{SCALE}' must lie in [0, 9], but got 20.0",
    ),
    "no module": (
        FUSION.replace("class Mine(Fusion)", "class Mine"),
        "mine.py: 'mine' must be a class derived from msa_core.modules.fusion.base.Fusion",
    ),
    "a class as a measure": (
        HEAD + '@measure("mine", MeasureOptions)\nclass Mine:\n    pass\n',
        "mine.py: 'mine' must be a function",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_plugin_is_refused_whole_with_its_file_and_a_reason(name):
    before = everything()
    text, message = REFUSED[name]
    fine = Plugin("fine.py", FUSION.replace('"mine"', '"fine"'))
    with pytest.raises(PluginError) as caught:
        use_plugins([fine, Plugin("mine.py", text)])
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert everything() == before
    use_plugins([fine])
    assert "fine" in kinds_of("fusion")


def test_two_files_of_one_name_are_refused():
    other = FUSION.replace('"mine"', '"other"')
    with pytest.raises(PluginError, match=r"mine\.py: two plugins have this name"):
        use_plugins([Plugin("mine.py", FUSION), Plugin("mine.py", other)])


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(PluginError, match=r"lost\.py: cannot be read"):
        read_plugin(tmp_path / "lost.py")


# The cookbook.


def test_the_cookbook_has_one_of_each_family():
    families = []
    for name, text in COOKBOOK.items():
        families += [family for family, _ in kinds_added_by(use(text, name))]
    assert sorted(families) == sorted(FAMILIES)
    assert set(COOKBOOK) == set(USES)


@pytest.mark.parametrize("name", sorted(USES))
def test_an_example_trains_and_its_option_reaches_the_module(name, splits, monkeypatch):
    monkeypatch.setattr(groups, "sequential_reason", lambda config, device: "")
    use(COOKBOOK[name], name)
    switched_on, option, values = USES[name]
    base = replace(Config(), SMALL | switched_on)
    check_config(base, "mosi")
    results = train_pack([Member(replace(base, {option: value}), 1) for value in values], splits)
    for result in results:
        assert (result.status, result.reason) == ("complete", "")
        losses = result.curve["train.loss"]
        assert min(losses[1:]) < losses[0]
    first, second = (result.curve for result in results)
    assert first["valid.mae"] != second["valid.mae"]
    # Its company is no matter, whether it varies in a pack or not.
    (alone,) = train_pack([results[1].member], splits)
    assert alone.curve == results[1].curve


def test_a_term_of_a_plugins_fusion_is_weighed_by_its_field(splits):
    use(COOKBOOK["soft_max.py"])
    path = "model.fusion.soft_max.spread.weight"
    base = replace(Config(), SMALL | {"model.fusion.kind": "soft_max"})
    weights = (0.0, 1.0, 3.0)
    members = [Member(replace(base, {path: weight}), 1) for weight in weights]
    without, once, thrice = (result.curve for result in train_pack(members, splits))
    assert "train.fusion.spread" not in without
    for curve, factor in ((once, 1.0), (thrice, 3.0)):
        raw, weighted = curve["train.fusion.spread"], curve["train.fusion.spread.weighted"]
        assert weighted == pytest.approx([factor * value for value in raw])


def test_a_plugin_of_version_0_1_still_finds_what_it_imports():
    """Its imports are led to where the modules are now; its text, and so its digest, is kept."""
    text = """
from msa_core.modules.dropout import Dropout
from msa_core.modules.fusion import Fusion
from msa_core.modules.linear import Linear
from msa_core.plugins import FusionOptions, fusion


@fusion("old", FusionOptions)
class Old(Fusion):
    pass
"""
    plugin = Plugin("old.py", text)
    use_plugins([plugin])
    assert kinds_added_by(plugin) == [("fusion", "old")]


def test_an_override_by_its_name_of_version_0_1_is_refused_and_not_ignored():
    text = """
from msa_core.plugins import ProcedureOptions, procedure
from msa_core.procedures import Procedure


@procedure("old", ProcedureOptions)
class Old(Procedure):
    def modified(self, move, gradients, witness, kept):
        return gradients, kept
"""
    with pytest.raises(PluginError, match=r"'Old\.modified' is called 'modify_gradients' now"):
        use_plugins([Plugin("old.py", text)])
