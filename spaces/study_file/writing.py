"""A study as a study file, every arm written out; `load_study` reads it back."""

from collections.abc import Sequence
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import SafeRepresenter

from spaces.designs.make_arms import Arm
from spaces.fields.declaration import Value
from spaces.fields.paths import default_of, flatten
from spaces.find_core import DEFAULT, is_code_file
from spaces.search_space.domains import Domain, write_domain
from spaces.search_space.parse_fields import SEARCH
from spaces.study_file.load import Study

RETUNE = {"each": True, "reference": False, "both": "both"}


def write_study(study: Study, files: Sequence[str] | None = None) -> str:
    """Return the text of a study file that asks the same.

    Args:
        study: Study to write.
        files: Paths of its core's own files, from the new file's folder on; None = beside it.
    """
    core = study.core
    paths = list(files or (file.name for file in core.plugins))
    is_file = is_code_file(core.name)
    document: dict[str, Any] = {
        "study": study.name,
        "question": study.question,
        "core": paths[0] if is_file else core.name if core.name != DEFAULT else "",
        "task": study.data.scheme if core.name != DEFAULT else "",
        "data": _data_form(study),
        "plugins": [] if is_file else paths,
        "base": _changed_fields(study.base),
        "search": _search_form(study.search),
        "start": [dict(point) for point in study.start],
        "constraints": [condition.text for condition in study.constraints],
        "arms": [{"explicit": {arm.name: _arm_form(arm) for arm in study.arms}}],
        "baseline": study.baseline,
        "metric": study.metric,
        "second_metric": study.second_metric,
        "margin": dict(study.margins),
        "sampler": study.sampler,
        "retune": RETUNE[study.retune],
        "claims": [claim.text for claim in study.claims],
        # Without what was left to a default: `candidates` and `device_seconds` exclude each other.
        "budget": study.budget.model_dump(exclude_unset=True),
    }
    written = {name: part for name, part in document.items() if part not in ("", [], {})}
    stream = StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.Representer = _Representer
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.allow_unicode = True
    yaml.width = 10**6  # where ruamel breaks a quoted text, it can lose characters of it
    yaml.dump(written, stream)
    return stream.getvalue()


class _Representer(SafeRepresenter):
    """Quotes texts so that every character of them is read back."""


def _represent_text(representer: _Representer, text: str) -> ScalarNode:
    # A NEL is a line break to ruamel's writer and none to its reader; in double quotes it is `\N`.
    style = '"' if "\x85" in text else None
    return representer.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Representer.add_representer(str, _represent_text)


def _data_form(study: Study) -> dict[str, Any]:
    if set(study.sets) == {""}:
        return study.core.write_source(study.data)
    return {"sets": {name: study.core.write_source(source) for name, source in study.sets.items()}}


def _changed_fields(config: Any) -> dict[str, Value]:
    default = flatten(default_of(type(config)))
    return {path: value for path, value in flatten(config).items() if value != default[path]}


def _search_form(search: Any) -> dict[str, Any]:
    return {path: write_domain(domain) for path, domain in search.items()}


def _arm_form(arm: Arm) -> dict[str, Any]:
    own: dict[str, Domain] = dict(arm.search)
    return {**arm.changes, **({SEARCH: _search_form(own)} if own else {})}
