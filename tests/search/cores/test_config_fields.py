"""The fields of a training function, however they are declared."""

import importlib.util
import pickle
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from search.cores.child.config_fields import build_config, describe_config, values_of
from search.cores.child.user_errors import CodeMistake
from search.cores.config_class import make_config_class
from spaces.fields.declaration import ConfigError
from spaces.fields.paths import default_of, fields_of, flatten, replace

DATACLASS = """\
from __future__ import annotations
import enum
from dataclasses import dataclass, field
from typing import Annotated, Literal
from annotated_types import Ge, Gt, Interval, Le, Lt

class Pooling(enum.Enum):
    MEAN = "mean"
    LAST = "last"

@dataclass(frozen=True)
class Encoder:
    width: Annotated[int, Ge(1), Le(512)] = 64
    # share of units
    # that are dropped
    dropout: Annotated[float, Interval(ge=0, lt=1)] = 0
    pooling: Pooling = Pooling.MEAN

@dataclass(frozen=True)
class Config:
    learning_rate: Annotated[float, Gt(0), Le(1), "step of the descent"] = 1e-3
    use_audio: bool = True  # whether audio is there
    fusion: Literal["concat", "gated"] = "concat"
    '''how modalities are joined,
    in words'''
    layers: Literal[1, 2, 4] = 2
    encoder: Encoder = field(default_factory=Encoder)
    made: int = field(default=0, init=False)

def train(config: Config, run): ...
"""
PYDANTIC = """\
from typing import Literal
from pydantic import BaseModel, Field

class Encoder(BaseModel):
    width: int = Field(64, ge=1, le=512)
    dropout: float = Field(0.0, ge=0, lt=1, description="share of units that are dropped")
    pooling: Literal["mean", "last"] = "mean"

class Config(BaseModel):
    learning_rate: float = Field(1e-3, gt=0, le=1, description="step of the descent")
    use_audio: bool = Field(True, description="whether audio is there")
    fusion: Literal["concat", "gated"] = Field(
        "concat", description="how modalities are joined, in words"
    )
    layers: Literal[1, 2, 4] = 2
    encoder: Encoder = Field(default_factory=Encoder)

def train(config, run): ...
"""
ATTRS = """\
from typing import Literal
from attrs import define, field, validators

@define
class Encoder:
    width: int = field(default=64, validator=[validators.ge(1), validators.le(512)])
    # share of units that are dropped
    dropout: float = field(default=0.0, validator=[validators.ge(0), validators.lt(1)])
    pooling: Literal["mean", "last"] = "mean"

@define
class Config:
    # step of the descent
    learning_rate: float = field(default=1e-3, validator=[validators.gt(0), validators.le(1)])
    use_audio: bool = True  # whether audio is there
    fusion: Literal["concat", "gated"] = "concat"  # how modalities are joined, in words
    layers: Literal[1, 2, 4] = 2
    encoder: Encoder = field(factory=Encoder)

def train(config: Config, run): ...
"""
FORMS = {"dataclass": DATACLASS, "pydantic": PYDANTIC, "attrs": ATTRS}
DEFAULTS = {
    "learning_rate": 1e-3, "use_audio": True, "fusion": "concat", "layers": 2,
    "encoder.width": 64, "encoder.dropout": 0.0, "encoder.pooling": "mean",
}  # fmt: skip

Load = Callable[[str], ModuleType]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Import a text as a module with a file."""

    def load_text(text: str) -> ModuleType:
        path = tmp_path / "user_code.py"
        path.write_text(text, encoding="utf-8")
        spec = importlib.util.spec_from_file_location("user_code", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(__import__("sys").modules, "user_code", module)
        spec.loader.exec_module(module)
        return module

    return load_text


@pytest.mark.parametrize("form", FORMS)
def test_every_kind_of_class_declares_the_same_fields(form: str, load: Load) -> None:
    pytest.importorskip(form if form != "dataclass" else "dataclasses")
    description = describe_config(load(FORMS[form]).train)
    assert description.run == "run"
    kind = make_config_class(description.to_plain())
    assert flatten(default_of(kind)) == DEFAULTS
    fields = {path: info for path, (info, _) in fields_of(kind).items()}
    rate, dropout, width = (
        fields[path] for path in ("learning_rate", "encoder.dropout", "encoder.width")
    )
    assert (rate.above, rate.maximum, rate.minimum, rate.below) == (0, 1, None, None)
    assert (dropout.minimum, dropout.below, dropout.maximum) == (0, 1, None)
    assert (width.minimum, width.maximum) == (1, 512)
    assert fields["layers"].choices == (1, 2, 4)
    assert fields["fusion"].choices == ("concat", "gated")
    assert fields["encoder.pooling"].choices == ("mean", "last")
    assert rate.meaning == "step of the descent"
    assert fields["use_audio"].meaning == "whether audio is there"
    assert fields["fusion"].meaning == "how modalities are joined, in words"
    assert dropout.meaning == "share of units that are dropped"


@pytest.mark.parametrize("form", FORMS)
def test_values_arrive_where_they_were_declared(form: str, load: Load) -> None:
    pytest.importorskip(form if form != "dataclass" else "dataclasses")
    module = load(FORMS[form])
    description = describe_config(module.train)
    values = {**DEFAULTS, "layers": 4, "encoder.width": 8, "encoder.pooling": "last"}
    (config,), keywords = build_config(description, values)
    assert not keywords
    assert isinstance(config, module.Config)
    assert (config.layers, config.encoder.width) == (4, 8)
    pooling = config.encoder.pooling
    assert (pooling.value if form == "dataclass" else pooling) == "last"
    seen = values_of(description, (config,))
    assert seen["encoder.width"] == 8
    assert seen.keys() == values.keys()


def test_a_signature_declares_fields(load: Load) -> None:
    module = load(
        "def train(\n"
        "    learning_rate: float = 1,  # step of the descent\n"
        "    depth=3,\n"
        "    *,\n"
        "    run,\n"
        "): ...\n"
    )
    description = describe_config(module.train)
    kind = make_config_class(description.to_plain())
    assert flatten(default_of(kind)) == {"learning_rate": 1.0, "depth": 3}
    assert fields_of(kind)["learning_rate"][0].meaning == "step of the descent"
    assert fields_of(kind)["depth"] == (fields_of(kind)["depth"][0], int)
    assert build_config(description, {"learning_rate": 2.0, "depth": 1}) == (
        (),
        {"learning_rate": 2.0, "depth": 1},
    )


def test_a_function_may_do_without_the_run_object(load: Load) -> None:
    assert describe_config(load("def train(depth=3): ...\n").train).run == ""
    assert describe_config(load(DATACLASS.replace(", run)", ", trial)")).train).run == "trial"


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("def train(depth: int = True, *, run): ...", "'depth' has the default True", 1),
        ("def train(depth: float = float('nan'), *, run): ...", "must be finite", 1),
        ("from typing import Literal\n\ndef train(a: Literal[1, 'x'] = 1): ...", "several", 3),
        ("from typing import Literal\ndef train(a: Literal[1, 2] = 3): ...", "none of [1, 2]", 2),
        ("def train(a: 'NoSuch' = 1): ...", "an annotation can't be read", 1),
        ("def train(run): ...", "no fields that a study could change", 1),
        ("def train(config, run, more): ...", "which fields does 'config' of train have?", 1),
        (
            DATACLASS.replace("def train(config: Config, run)", "def train(config: Config, a, b)"),
            "train has the parameters config, a, b", 30,
        ),
    ],
)  # fmt: skip
def test_what_can_not_be_a_field_is_refused(text: str, message: str, line: int, load: Load) -> None:
    with pytest.raises(CodeMistake) as caught:
        describe_config(load(text + "\n").train)
    assert message in str(caught.value)
    assert caught.value.line == line


def test_a_class_that_has_itself_inside_is_refused(load: Load) -> None:
    text = (
        "from dataclasses import dataclass, field\n@dataclass\nclass Config:\n"
        "    again: 'Config' = field(default_factory=int)\ndef train(config: Config): ...\n"
    )
    with pytest.raises(CodeMistake, match="'Config' has itself as a field"):
        describe_config(load(text).train)


def test_equal_descriptions_make_one_class_whose_values_are_pickled(load: Load) -> None:
    plain = describe_config(load(DATACLASS).train).to_plain()
    kind: Any = make_config_class(plain)
    assert make_config_class(dict(plain)) is kind
    config = replace(default_of(kind), {"encoder.width": 9, "layers": 4})
    again = pickle.loads(pickle.dumps(config))
    assert again == config and type(again) is kind
    for wrong in ({"encoder.width": 0}, {"layers": 3}, {"encoder.dropout": 1.0}, {"fusion": "x"}):
        with pytest.raises(ConfigError):
            replace(config, wrong)
