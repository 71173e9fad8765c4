"""A study's own modules: what they add, what is refused, and the cookbook's examples at work."""

import pickle
import re
import subprocess
import sys

import pytest

from msa_core.config.fields import MODALITIES
from msa_core.config.kinds import FAMILIES, kind_of_path, kinds_of, module_of, options_of
from msa_core.config.planted import PlantedConfig
from msa_core.config.rules import check_config, is_active, resolve_fields
from msa_core.config.schema import Config
from msa_core.data.planted import generate_planted
from msa_core.data.prepared import PreparedSplits
from msa_core.plugins import PluginError, config_with, kinds_added_by, plugins_of, read_plugin
from msa_core.training import groups
from msa_core.vectorised.pack_key import free_numbers, pack_key
from spaces.core import Member, SourceFile
from spaces.fields.declaration import ConfigError
from spaces.fields.paths import check_value, fields_of, flatten, replace, value_at
from tests.cases.paths import DOCS
from tests.cases.train_pack import train_pack

PAGE = DOCS / "plugins.md"
COOKBOOK = {
    name: text
    for name, text in re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE.read_text(), re.DOTALL)
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


@pytest.fixture(scope="module")
def splits():
    recipe = PlantedConfig(train=64, valid=24, test=2, steps=5, width=5)
    return PreparedSplits(generate_planted(recipe).splits)


def everything(config_class=Config):
    """All that a plugin could have changed."""
    kinds = {family: kinds_of(config_class, family) for family in FAMILIES}
    modules = [module_of(config_class, family, kind) for family in kinds for kind in kinds[family]]
    return kinds, dict(fields_of(config_class)), modules


def extended_by(text, name="mine.py"):
    return config_with((SourceFile(name, text),))


# What a plugin adds.


def test_an_option_of_a_plugin_is_a_field_like_any_other():
    extended = extended_by(FUSION)
    config = replace(extended(), {"model.fusion.kind": "mine", SCALE: 3})
    assert value_at(config, SCALE) == flatten(config)[SCALE] == resolve_fields(config)[SCALE] == 3.0
    assert value_at(extended(), SCALE) == 2.0
    assert SCALE not in resolve_fields(extended())
    assert is_active(config, SCALE)
    assert not is_active(extended(), SCALE)
    assert replace(extended(), flatten(config)) == config
    assert replace(extended(), resolve_fields(config)) == config
    assert options_of(config, "fusion", "mine").scale == 3.0
    assert kind_of_path(extended, SCALE) == ("fusion", "mine", "scale")
    assert "mine" in fields_of(extended)["model.fusion.kind"][0].choices
    check_config(config, "mosi")


def test_a_value_at_its_default_is_the_same_configuration_as_none():
    extended = extended_by(FUSION)
    assert hash(replace(extended(), {SCALE: 2.0})) == hash(extended())
    assert replace(replace(extended(), {SCALE: 3.0}), {SCALE: 2.0}) == extended()


def test_a_plain_option_is_structure_and_a_varying_one_is_not():
    mine = replace(extended_by(FUSION)(), {"model.fusion.kind": "mine"})
    assert pack_key(mine) != pack_key(replace(mine, {SCALE: 3.0}))
    assert SCALE not in free_numbers(mine)
    path = "loss.alignment.cosine.power"
    aligned = replace(extended_by(COOKBOOK["cosine.py"])(), BY_COSINE)
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
    extended = extended_by(FUSION)
    with pytest.raises(ConfigError) as caught:
        check_value(extended, SCALE, value)
    assert str(caught.value) == message
    with pytest.raises(ConfigError, match=f"did you mean '{SCALE}'"):
        check_value(extended, SCALE.replace("scale", "sclae"), 1.0)


def test_the_width_of_a_plugins_encoder_must_divide_into_its_heads():
    extended = extended_by(HEAD + """
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
    config = replace(extended(), {"model.audio.encoder": "heads", "model.audio.width": 9})
    check_config(config, "mosi")
    with pytest.raises(ConfigError, match=r"'heads' divides it into 3 heads"):
        check_config(replace(config, {"model.audio.width": 10}), "mosi")


# What a study's plugins add, its configurations have and nothing else.


def test_plugins_change_nothing_outside_the_class_that_has_their_kinds():
    before = everything()
    mine = SourceFile("mine.py", FUSION)
    other = SourceFile("other.py", FUSION.replace('"mine"', '"other"'))
    with_mine, with_other = config_with((mine,)), config_with((other,))
    assert plugins_of(with_mine) == (mine,)
    assert kinds_added_by(with_mine, mine) == [("fusion", "mine")]
    assert kinds_of(with_mine, "fusion") == (*kinds_of(Config, "fusion"), "mine")
    assert kinds_of(with_other, "fusion") == (*kinds_of(Config, "fusion"), "other")
    with_both = config_with((other, mine))
    assert kinds_of(with_both, "fusion") == (*kinds_of(Config, "fusion"), "other", "mine")
    assert kinds_added_by(with_both, mine) == [("fusion", "mine")]
    assert everything() == before
    assert config_with(()) is Config
    assert plugins_of(Config) == ()
    assert kinds_added_by(Config, mine) == []


def test_the_same_plugins_are_executed_once():
    assert extended_by(FUSION) is extended_by(FUSION)


def test_a_changed_text_is_executed_anew():
    changed = extended_by(FUSION.replace("field(2.0", "field(4.0"))
    assert value_at(extended_by(FUSION)(), SCALE) == 2.0
    assert value_at(changed(), SCALE) == 4.0


def test_a_process_without_the_class_makes_it_from_the_plugin_s_text(tmp_path):
    config = replace(extended_by(FUSION)(), {"model.fusion.kind": "mine", SCALE: 3.0})
    assert pickle.loads(pickle.dumps(config)) == config
    file = tmp_path / "config.pickle"
    file.write_bytes(pickle.dumps(config))
    code = (
        "import pickle, sys, pathlib; from msa_core.config.rules import resolve_fields; "
        "config = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes()); "
        f"print(resolve_fields(config)['{SCALE}'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "3.0\n"


def test_importing_the_file_outside_a_study_adds_nothing():
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
    fine = SourceFile("fine.py", FUSION.replace('"mine"', '"fine"'))
    with pytest.raises(PluginError) as caught:
        config_with((fine, SourceFile("mine.py", text)))
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert everything() == before
    assert "fine" in kinds_of(config_with((fine,)), "fusion")


def test_two_files_of_one_name_are_refused():
    other = FUSION.replace('"mine"', '"other"')
    with pytest.raises(PluginError, match=r"mine\.py: two plugins have this name"):
        config_with((SourceFile("mine.py", FUSION), SourceFile("mine.py", other)))


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(PluginError, match=r"lost\.py: cannot be read"):
        read_plugin(tmp_path / "lost.py")


# The cookbook.


def test_the_cookbook_has_one_of_each_family():
    families = []
    for name, text in COOKBOOK.items():
        plugin = SourceFile(name, text)
        families += [family for family, _ in kinds_added_by(config_with((plugin,)), plugin)]
    assert sorted(families) == sorted(FAMILIES)
    assert set(COOKBOOK) == set(USES)


@pytest.mark.parametrize("name", sorted(USES))
def test_an_example_trains_and_its_option_reaches_the_module(name, splits, monkeypatch):
    monkeypatch.setattr(groups, "sequential_reason", lambda config, device: "")
    switched_on, option, values = USES[name]
    base = replace(extended_by(COOKBOOK[name], name)(), SMALL | switched_on)
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
    path = "model.fusion.soft_max.spread.weight"
    base = replace(
        extended_by(COOKBOOK["soft_max.py"])(), SMALL | {"model.fusion.kind": "soft_max"}
    )
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
    plugin = SourceFile("old.py", text)
    assert kinds_added_by(config_with((plugin,)), plugin) == [("fusion", "old")]


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
        extended_by(text, "old.py")
