"""The JSON Schema of study files: it takes what `load_study` takes, and finds what is misspelt."""

import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from msa_core.config.schema import Config
from msa_core.core import CORE
from spaces.core import SourceFile
from spaces.designs.parse_designs import DESIGNS
from spaces.errors import StudyError
from spaces.fields.declaration import Value
from spaces.fields.paths import fields_of, value_at
from spaces.help.schema import study_schema
from spaces.help.topics import DOMAIN_EXAMPLES, STUDY_EXAMPLES, example_entry
from spaces.search_space.domains import DOMAINS
from spaces.study_file.file_shape import Budget, StudyFields
from spaces.study_file.load import SHIPPED, load_study
from spaces.syntax.document import parse_yaml, read_document
from tests.cases.paths import DOCS

PAGE = (DOCS / "studies.md").read_text(encoding="utf-8")
ON_THE_PAGE = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
FIELDS = fields_of(Config)
LARGEST = 400_000  # characters; an editor reads it at every start
FULL = {"explicit": {"full": {}}}


@cache
def validator() -> Draft7Validator:
    return Draft7Validator(study_schema(CORE))


def mistakes(study: object) -> list[str]:
    return [error.message for error in validator().iter_errors(study)]


def small(**parts: object) -> dict[str, object]:
    return {"study": "small", "arms": [FULL], **parts}


def spellings(path: str, value: object) -> Iterator[dict[str, Any]]:
    """A field with dots, as nested mappings, and as every mixture with one nested mapping."""
    yield {path: value}
    steps = path.split(".")
    for place in range(1, len(steps)):
        yield {".".join(steps[:place]): {".".join(steps[place:]): value}}
    nested = value
    for step in reversed(steps):
        nested = {step: nested}
    assert isinstance(nested, dict)
    yield nested


def test_the_schema_is_one_and_small() -> None:
    schema = study_schema(CORE)
    Draft7Validator.check_schema(schema)
    assert len(json.dumps(schema)) < LARGEST
    assert json.dumps(schema) == json.dumps(study_schema(CORE))


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_study_is_valid(path: Path) -> None:
    validator = Draft7Validator(study_schema(load_study(path).core))
    assert list(validator.iter_errors(read_document(path).plain_value())) == []


def test_the_study_on_the_page_is_valid() -> None:
    studies = [
        parse_yaml(text, "page").plain_value() for text in ON_THE_PAGE if "\nstudy: " in text
    ]
    assert len(studies) == 1
    assert mistakes(studies[0]) == []


def test_every_study_field_is_in_it_with_its_meaning() -> None:
    properties = study_schema(CORE)["properties"]
    for fields, kind in ((properties, StudyFields), (properties["budget"]["properties"], Budget)):
        assert list(fields) == list(kind.model_fields)
        for name, field in kind.model_fields.items():
            assert fields[name]["description"].startswith(field.description)
    assert "20" in properties["budget"]["properties"]["candidates"]["description"]


def test_a_field_has_its_meaning_unit_bounds_and_default() -> None:
    definitions = study_schema(CORE)["definitions"]
    assert definitions["value.train.batch_size"] == {
        "description": "utterances a step\n\na whole number from 2 up to 65536 (utterances); "
        "default 32",
        "type": "integer",
        "minimum": 2,
        "maximum": 65536,
        "unit": "utterances",
        "default": 32,
    }
    assert definitions["value.train.learning_rate"]["exclusiveMinimum"] == 0.0


@pytest.mark.parametrize("path", FIELDS)
def test_every_field_is_reachable_in_every_spelling(path: str) -> None:
    value = value_at(Config(), path)
    for base in spellings(path, value):
        assert mistakes(small(base=base)) == []
        assert mistakes(small(arms=[{"explicit": {"full": base}}])) == []
    for search in spellings(path, {"choice": other_values(path)}):
        assert mistakes(small(search=search)) == []
        assert mistakes(small(arms=[{"explicit": {"full": {"search": search}}}])) == []
    assert mistakes(small(exclude={path: [value]}, constraints=[{path: value}])) == []


def other_values(path: str) -> list[Value]:
    """Two values of a field."""
    info, kind = FIELDS[path]
    if kind is bool:
        return [True, False]
    if kind is str:
        return list(info.choices[:2]) or ["one", "two"]
    assert info.maximum is not None
    return [kind(info.maximum), kind(info.maximum / 2)]


@pytest.mark.parametrize("path", FIELDS)
def test_a_misspelt_field_is_a_mistake_in_every_spelling(path: str) -> None:
    for base in spellings(f"{path}x", value_at(Config(), path)):
        assert mistakes(small(base=base))
    for search in spellings(f"{path}x", {"choice": other_values(path)}):
        assert mistakes(small(search=search))


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("train.epochs", 0),
        ("train.epochs", 2.5),
        ("train.learning_rate", 0),
        ("train.learning_rate", "fast"),
        ("missing.frames", 0.96),
        ("model.fusion.kind", "concatt"),
        ("model.text.use", "no"),
        ("control.placebo", 3),
        ("loss.alignment.cov.momentum", None),
    ],
)
def test_a_wrong_value_is_a_mistake_in_every_spelling(path: str, wrong: object) -> None:
    for base in spellings(path, wrong):
        assert mistakes(small(base=base))
        assert mistakes(small(start=[base]))


VALUES: dict[type, Callable[[Any], st.SearchStrategy[Value]]] = {
    bool: lambda info: st.booleans(),
    str: lambda info: st.sampled_from(info.choices) if info.choices else st.text("abc", min_size=1),
    int: lambda info: st.integers(int(info.minimum), int(info.maximum)),
    float: lambda info: st.floats(
        info.minimum if info.above is None else info.above,
        info.maximum,
        exclude_min=info.above is not None,
    ),
}


@given(data=st.data())
def test_every_valid_value_of_a_field_is_valid(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(FIELDS)))
    info, kind = FIELDS[path]
    value = data.draw(VALUES[kind](info))
    for base in spellings(path, value):
        assert mistakes(small(base=base)) == []


@pytest.mark.parametrize("design", DESIGNS)
def test_the_example_of_a_design_is_valid_and_loads(
    design: str, write_study: Callable[[str], Path]
) -> None:
    baseline = "baseline: full\n" if design == "explicit" else ""
    text = f"study: x\n{baseline}arms:\n{example_entry(design)}\n"
    path = write_study(text)
    load_study(path)
    assert mistakes(read_document(path).plain_value()) == []


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_example_of_a_domain_is_valid_and_loads(
    domain: str, write_study: Callable[[str], Path]
) -> None:
    path = write_study(
        f"study: x\narms: [explicit: {{full: {{}}}}]\nsearch:\n  {DOMAIN_EXAMPLES[domain]}\n"
    )
    load_study(path)
    assert mistakes(read_document(path).plain_value()) == []


@pytest.mark.parametrize("field", STUDY_EXAMPLES)
def test_the_example_of_a_study_field_is_valid(field: str) -> None:
    example = parse_yaml(STUDY_EXAMPLES[field], field).plain_value()
    assert mistakes({**small(), **example}) == []


RIGHT = """
data: {sets: {one: mosi.pkl, two: {file: b.npz, labels: sims, text_model: bert}}}
data: {planted: {world: null, train: 100}}
data: {planted: }
start: {train.learning_rate: 1e-3}
constraints: model.text.width >= 16
retune: both
search: {model.fusion.dropout: {uniform: [0, 0.5], step: 0.1, when: {model.fusion.kind: lmf}}}
search: {train: {batch_size: {int: [16, 64], log: true}}}
arms: [{factorial: [a, b], reference: none, exclude: }]
arms: [{fractional: [a, b, c], resolution: 3}]
arms: [{path: {from: {}, to: {train.epochs: 3}}}]
arms: [{pairs: }]
arms: [{leave_one_out: {text: {on: {}, off: {model.text.use: false}}}}]
arms: [{union: [{product: [{pairs: {modes: [off, shared]}}, {grid: {train.epochs: [1, 2]}}]}]}]
components: {a: {search: {train.learning_rate: {log_uniform: [1e-4, 1e-2]}}}}
second_metric: parameters
budget: {max_wall_hours: 0.5, device_seconds: null}
"""
WRONG = """
study: a/b
sampler: tpee
metric: mea
margin: {mae: 0}
margin: {mea: 0.1}
second_metric: parameter
retune: never
claims: [a is bettter than b]
plugins: [a.txt]
budget: {candidats: 3}
budget: {candidates: 0}
budget: {max_wall_hours: 0}
bugdet: {candidates: 3}
data: {file: a.pkl, label: sims}
data: {planted: {wold: synergy}}
data: {planted: {train: 1}}
data: {planted: {}, file: a.pkl}
data: {sets: {one: a.pkl}, labels: mosi}
data: {sets: {a/b: a.pkl}}
search: {train.learning_rate: 1e-3}
search: {train.learning_rate: {log_unifrm: [1e-4, 1e-2]}}
search: {train.learning_rate: {log_uniform: [1e-4]}}
search: {train.weight_decay: {log_uniform: [0, 1e-2]}}
search: {train.epochs: {uniform: [1, 2]}}
search: {train.learning_rate: {uniform: [0.1, 2]}}
search: {train.learning_rate: {uniform: [0.1, 0.2], choice: [0.1, 0.2]}}
search: {train.learning_rate: {choice: [0.1, 0.2], step: 0.1}}
search: {train.epochs: {int: [1, 9], when: {train.epoch: 3}}}
search: {model.fusion.kind: {choice: [concat, tnf]}}
constraints: {train.epoch: 3}
constraints: {train.epochs: 0}
exclude: [3]
start: [{train.epochs: 0}]
arms: []
arms: {explicit: {full: {}}}
arms: [{explict: {full: {}}}]
arms: [{explicit: {full: {train.epoch: 3}}}]
arms: [{explicit: {full: {}}, factorial: [a]}]
arms: [{explicit: {full: {}}, reference: full}]
arms: [{fractional: [a, b, c]}]
arms: [{fractional: [a, b, c], resolution: VX}]
arms: [{factorial: [a, b], order: [b, a]}]
arms: [{factorial: {a: {loss.contrast.anchor.us: true}}}]
arms: [{factorial: {a: {on: {loss.contrast.anchor.us: true}}}}]
arms: [{pairs: {modes: [of]}}]
arms: [{pairs: {mode: [off]}}]
arms: [{grid: {train.epoch: [1, 2]}}]
arms: [{grid: {train.epochs: [0, 2]}}]
arms: [{one_at_a_time: {depth: {low: {train.epoch: 3}}}}]
arms: [{product: [{explict: {full: {}}}]}]
components: {a: {train.epoch: 3}}
"""


@pytest.mark.parametrize("text", RIGHT.strip().splitlines())
def test_what_a_study_may_say_is_valid(text: str) -> None:
    assert mistakes({**small(), **parse_yaml(text, "part").plain_value()}) == []


@pytest.mark.parametrize("text", WRONG.strip().splitlines())
def test_what_is_a_mistake_by_itself_is_found(
    text: str, write_study: Callable[[str], Path]
) -> None:
    study = {**small(), **parse_yaml(text, "part").plain_value()}
    assert mistakes(study)
    with pytest.raises(StudyError):
        load_study(write_study(json.dumps(study)))


def test_the_fields_of_plugins_are_in_it() -> None:
    text = (
        "from dataclasses import dataclass\n"
        "from msa_core.modules.fusion.vector_fusions import Fusion\n"
        "from msa_core.plugins import FusionOptions, field, fusion\n\n"
        "@dataclass(frozen=True, kw_only=True, slots=True)\n"
        "class LoudOptions(FusionOptions):\n"
        "    volume: int = field(5, 'how loud', 'volume', minimum=0, maximum=11, unit='steps')\n\n"
        "@fusion('loud', LoudOptions)\n"
        "class Loud(Fusion):\n    '''It shouts.'''\n"
    )
    study = small(base={"model.fusion": {"kind": "loud", "loud.volume": 11}})
    assert mistakes(study)
    known = Draft7Validator(study_schema(CORE.with_plugins([SourceFile("loud.py", text)])))
    assert known.is_valid(study)
    assert not known.is_valid(small(base={"model.fusion.loud.volume": 12}))
