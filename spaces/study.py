"""A study file becomes a `Study`; every rule of a study file is checked here."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from msa_core.config import LABEL_SCHEMES, Config
from msa_core.config_paths import check_value, nearest, replace
from msa_core.plugins import Plugin
from spaces.data_source import DataSource, data_source
from spaces.designs import Arm, explicit, leave_one_out
from spaces.document import Node, is_domain, leaves, read_document
from spaces.domains import DOMAINS, Domain, parse_domain
from spaces.errors import StudyError, at, located
from spaces.overrides import apply_overrides
from spaces.plugins import study_plugins
from spaces.resolution import refusal, signature

DESIGNS = ("explicit", "leave_one_out")
SHIPPED = Path(__file__).parent / "studies"


class Budget(BaseModel):
    """What every arm is given, the same for all.

    Attributes:
        candidates, tune_seeds, confirm_seeds: how many.
        seed: of the sampler; the cells' seeds follow from it too.
        generation: candidates of an arm that are asked for together, knowing the results of all
            earlier generations.
        scheduler: which candidates are stopped early: `none`; `bracket`, the worse ones of each
            `bracket` candidates; `asha`, those that fall behind all earlier ones of their arm.
        bracket: candidates of a bracket.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    candidates: Annotated[int, Field(ge=1, le=100_000)] = 20
    tune_seeds: Annotated[int, Field(ge=1, le=10_000)] = 3
    confirm_seeds: Annotated[int, Field(ge=1, le=10_000)] = 10
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    generation: Annotated[int, Field(ge=1, le=10_000)] = 10
    scheduler: Literal["none", "bracket", "asha"] = "none"
    bracket: Annotated[int, Field(ge=2, le=10_000)] = 9


class _StudyFields(BaseModel):
    """The fixed shape of a study file; what is inside the open parts is checked after it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    study: str
    question: str = ""
    data: str | dict[str, Any] = "planted"
    plugins: list[str] = []
    base: dict[str, Any] = {}
    search: dict[str, Any] = {}
    arms: list[dict[str, Any]]
    baseline: str = "full"
    metric: str = "mae"
    margin: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = {}
    sampler: Literal["tpe", "random"] = "tpe"
    budget: Budget = Budget()


STUDY_FIELDS = tuple(_StudyFields.model_fields)


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """One question: what is compared, what is searched, and with which budget.

    Attributes:
        place: the file's name, for messages.
        base: the configuration that every arm starts from.
        search: field -> domain, the same for every arm in which the field means something.
        plugins: the author's own modules; in use in this process since the study was loaded, and
            until another is.
        metric: the primary metric: tuned on validation, verdicts on test.
        margins: metric -> smallest difference that the author cares about.
    """

    name: str
    question: str
    place: str
    data: DataSource
    base: Config
    search: Mapping[str, Domain]
    arms: tuple[Arm, ...]
    baseline: str
    metric: str
    margins: Mapping[str, float]
    sampler: str
    budget: Budget
    plugins: tuple[Plugin, ...] = ()


def find_study(name: str) -> Path:
    """A study file by its path, or a shipped one by its name.

    Raises:
        StudyError: neither.
    """
    path = Path(name)
    if path.is_file():
        return path
    shipped = {found.stem: found for found in sorted(SHIPPED.glob("*.yaml"))}
    if name in shipped:
        return shipped[name]
    raise StudyError(
        f"{name}: no such file, and no shipped study of that name{nearest(name, shipped)}; "
        f"shipped are {', '.join(shipped)}"
    )


def load_study(path: Path, overrides: Sequence[str] = ()) -> Study:
    """Read and check a study file.

    Args:
        path: the file.
        overrides: `field=value` texts, as given to `--set`.

    Raises:
        StudyError: the first mistake, with file, line, dotted path, what is allowed and the
            nearest valid name.
    """
    root = read_document(path)
    of_plugins = [override for override in overrides if override.startswith("plugins=")]
    root = apply_overrides(root, of_plugins, STUDY_FIELDS)
    # First of all: what is a field of the rest depends on them.
    plugins = study_plugins(root, path.parent)
    others = [override for override in overrides if override not in of_plugins]
    root = apply_overrides(root, others, STUDY_FIELDS)
    fields = _checked_shape(root)
    base, search = _base_and_search(root)
    data = data_source(root, fields.data, path.parent)
    study = Study(
        name=fields.study,
        question=fields.question,
        place=path.name,
        data=data,
        base=base,
        search=search,
        arms=tuple(_arms(root)),
        baseline=fields.baseline,
        metric=fields.metric,
        margins=fields.margin,
        sampler=fields.sampler,
        budget=fields.budget,
        plugins=plugins,
    )
    _check_names(root, study)
    _check_metrics(root, study)
    _check_arms(study)
    return study


def _checked_shape(root: Node) -> _StudyFields:
    try:
        return _StudyFields.model_validate(root.plain())
    except ValidationError as error:
        first = error.errors()[0]
    location = tuple(part for part in first["loc"] if part not in ("str", "dict[str,any]"))
    name, where = ".".join(str(part) for part in location), root.find(location).where
    if first["type"] == "missing":
        raise at(root.where, f"'{name}' is missing; every study needs it")
    if first["type"] == "extra_forbidden":
        inside_budget = location[0] == "budget" and len(location) > 1
        allowed = tuple(Budget.model_fields) if inside_budget else STUDY_FIELDS
        hint = nearest(str(location[-1]), allowed)
        raise at(
            where, f"'{name}' is not a field of a study{hint}; allowed are {', '.join(allowed)}"
        )
    raise at(where, f"'{name}': {_sentence(first['msg'])}, but got {first['input']!r}")


def _sentence(message: str) -> str:
    """Pydantic's message in the words of the other messages."""
    message = message.replace("a valid integer", "a whole number").replace("a valid ", "a ")
    return message.replace("Input should be", "must be")


def _base_and_search(root: Node) -> tuple[Config, dict[str, Domain]]:
    changes = _changes(root.value["base"], "base") if "base" in root.value else {}
    search: dict[str, Domain] = {}
    if "search" in root.value:
        for name, node in leaves(root.value["search"], is_domain):
            if not is_domain(node):
                raise at(
                    node.where,
                    f"search: '{name}' needs one domain, e.g. {{uniform: [0, 1]}}; "
                    f"allowed are {', '.join(DOMAINS)}",
                )
            ((kind, arguments),) = node.value.items()
            search[name] = located(
                node.where, "search", parse_domain, name, kind, arguments.plain()
            )
            if name in changes:
                raise at(
                    node.where,
                    f"search: '{name}' is searched here and fixed in 'base'; remove one of the two",
                )
    return replace(Config(), changes), search


def _changes(node: Node, part: str) -> dict[str, Any]:
    """Field -> checked value of a mapping of fields."""
    if not isinstance(node.value, dict):
        raise at(node.where, f"{part}: needs a mapping of fields, but got {node.plain()!r}")
    return {
        name: located(child.where, part, check_value, Config, name, child.plain())
        for name, child in leaves(node, lambda child: False)
    }


def _arms(root: Node) -> list[Arm]:
    arms: list[Arm] = []
    for entry in root.value["arms"].value:
        if not isinstance(entry.value, dict) or len(entry.value) != 1:
            raise at(entry.where, f"arms: each entry is one design of {', '.join(DESIGNS)}")
        ((design, inside),) = entry.value.items()
        if design not in DESIGNS:
            raise at(
                entry.where,
                f"arms: '{design}' is not a design; allowed are {', '.join(DESIGNS)}"
                f"{nearest(design, DESIGNS)}",
            )
        if not isinstance(inside.value, dict):
            raise at(inside.where, f"arms: {design} needs a mapping of names to changed fields")
        named = {
            name: (_changes(child, f"arms: '{name}'") if child.value is not None else {},
                   child.where)
            for name, child in inside.value.items()
        }  # fmt: skip
        arms += explicit(named) if design == "explicit" else leave_one_out(named, inside.where)
    return arms


def _check_names(root: Node, study: Study) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", study.name):
        raise at(
            root.find(("study",)).where,
            f"study: {study.name!r} names a folder; use letters, digits, '.', '_' and '-'",
        )
    seen: dict[str, Arm] = {}
    for arm in study.arms:
        if arm.name in seen:
            first = seen[arm.name].where
            raise at(arm.where, f"arms: '{arm.name}' is there twice; first at {first}")
        if not arm.name.strip() or len(arm.name) > 200 or not arm.name.isprintable():
            raise at(arm.where, f"arms: {arm.name!r} is no name for a row of a table")
        seen[arm.name] = arm
    if not seen:
        raise at(root.find(("arms",)).where, "arms: needs at least one arm")
    if study.baseline not in seen:
        raise at(
            root.find(("baseline",)).where,
            f"baseline: '{study.baseline}' is not an arm{nearest(study.baseline, seen)}; "
            f"the arms are {', '.join(seen)}",
        )


def _check_metrics(root: Node, study: Study) -> None:
    metrics = LABEL_SCHEMES[study.data.scheme].metrics
    for path, name in [(("metric",), study.metric)] + [
        (("margin", name), name) for name in study.margins
    ]:
        if name not in metrics:
            raise at(
                root.find(path).where,
                f"{path[0]}: '{name}' is not a metric of the '{study.data.scheme}' labels"
                f"{nearest(name, metrics)}; allowed are {', '.join(metrics)}",
            )


def _check_arms(study: Study) -> None:
    seen: dict[object, Arm] = {}
    for arm in study.arms:
        config = replace(study.base, arm.changes)
        if reason := refusal(config, study.search, arm.changes, study.data.scheme):
            raise at(arm.where, f"arms: '{arm.name}': {reason}")
        key = signature(config, study.search, arm.changes)
        if key in seen:
            raise at(
                arm.where,
                f"arms: '{arm.name}' resolves to the same configuration as '{seen[key].name}' "
                f"({seen[key].where}): what it changes is already so in 'base', or means nothing "
                "there; remove one of the two, or change 'base'",
            )
        seen[key] = arm
