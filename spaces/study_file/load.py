"""The way from a study file to a `Study`, with every rule of a study file."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from spaces.core import Core, DataSource, SourceFile
from spaces.designs.components import parse_study_components
from spaces.designs.fraction import MOST_ARMS
from spaces.designs.make_arms import Arm
from spaces.designs.parse_designs import Exclusion, parse_arms
from spaces.designs.resolution import combinations_per_arm, find_refusal
from spaces.errors import StudyError, check_at, error_at
from spaces.fields import paths as config_paths
from spaces.fields.declaration import Value
from spaces.fields.paths import default_of, did_you_mean
from spaces.find_core import DEFAULT, find_core
from spaces.search_space.candidates import pick_order
from spaces.search_space.domains import Domain, values_of
from spaces.search_space.parse_fields import (
    fixed_fields,
    parse_conditions,
    searched_fields,
    start_points,
)
from spaces.study_file.claims import Claim, parse_claim
from spaces.study_file.core_files import find_study_core
from spaces.study_file.data_source import NAME, data_sources
from spaces.study_file.file_shape import (
    PARAMETERS,
    STUDY_FIELDS,
    TWO_OBJECTIVES,
    Budget,
    StudyFields,
    check_shape,
)
from spaces.study_file.overrides import apply_overrides
from spaces.study_file.units import check_unit
from spaces.syntax.constraints import Condition
from spaces.syntax.document import Node, read_document
from spaces.task import Task

SHIPPED = Path(__file__).parents[1] / "studies"
LONGEST_NAME = 200  # characters of an arm's name


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """One question: what is compared, what is searched, and with which budget.

    Two studies are equal if they ask the same, wherever they were written.

    Attributes:
        core: What is trained; extended with the study's plugins.
        source_name: Name of the file, for messages.
        data: Data set of this study; the first one of several.
        sets: Name -> data set; the name is empty where there is one alone.
        base: Configuration that every arm starts from.
        search: Field -> domain, the same for every arm in which the field means something.
        constraints: Conditions that every candidate satisfies.
        start: Candidates that are tried first.
        arms: Arms as the designs list them, each name once; a plan merges those that are the same.
        notes: Facts about the designs that a reader should know.
        metric: Primary metric: tuned on validation, verdicts on test.
        second_metric: Second objective of the tuning; empty = one objective.
        margins: Metric -> smallest difference that the author cares about, in its unit.
        retune: Which arms are tuned: `each`, the `reference` alone, or `both` ways.
    """

    core: Core
    name: str
    question: str
    source_name: str = field(compare=False)
    data: DataSource
    sets: Mapping[str, DataSource]
    base: Any
    search: Mapping[str, Domain]
    constraints: tuple[Condition, ...] = ()
    start: tuple[Mapping[str, Value], ...] = ()
    arms: tuple[Arm, ...]
    notes: tuple[str, ...] = field(default=(), compare=False)
    baseline: str
    metric: str
    second_metric: str = ""
    margins: Mapping[str, float]
    sampler: str
    retune: str = "each"
    claims: tuple[Claim, ...] = ()
    budget: Budget

    @property
    def plugins(self) -> tuple[SourceFile, ...]:
        """The author's own files that extend the core."""
        return self.core.plugins

    @property
    def task(self) -> Task:
        """The metrics of its data."""
        return self.core.tasks[self.data.scheme]

    def on_sets(self) -> list["Study"]:
        """Return one study per data set, named after both where there are several."""
        # Each has a results folder of its own: paired statistics need one test set.
        return [
            replace(
                self,
                name=f"{self.name}.{name}" if name else self.name,
                data=source,
                sets={"": source},
            )
            for name, source in self.sets.items()
        ]


def find_study(name: str) -> Path:
    """Find a study file by its path, or a shipped one by its name.

    Raises:
        StudyError: Neither.
    """
    path = Path(name)
    if path.is_file():
        return path
    shipped = {found.stem: found for found in sorted(SHIPPED.glob("*.yaml"))}
    if name in shipped:
        return shipped[name]
    raise StudyError(
        f"{name}: no such file, and no shipped study of that name{did_you_mean(name, shipped)}; "
        f"shipped are {', '.join(shipped)}"
    )


def load_study(path: Path, overrides: Sequence[str] = ()) -> Study:
    """Read and check a study file.

    Args:
        path: The file.
        overrides: Texts `field=value`, as given to `--set`.

    Raises:
        StudyError: The first mistake, with file, line, dotted path, what is allowed and the
            nearest valid name.
    """
    root = read_document(path)
    # The core first: its fields, and those that plugins add, are what the rest of the file and
    # other overrides may name.
    first = [one for one in overrides if one.startswith(("core=", "plugins="))]
    root = apply_overrides(find_core(DEFAULT), root, first, STUDY_FIELDS)
    core = find_study_core(root, path.parent)
    others = [override for override in overrides if override not in first]
    root = apply_overrides(core, root, others, STUDY_FIELDS)
    fields = check_shape(root)
    _check_budget(root, fields)
    base, search = _base_and_search(core, root)
    sets = data_sources(core, root, fields.data, path.parent, fields.task or "")
    source = next(iter(sets.values()))
    arms, notes = _load_arms(core, root, base)
    baseline = _find_baseline(root, fields, arms)
    everywhere = dict(search)
    for arm in arms:
        everywhere |= {name: domain for name, domain in arm.search.items() if name not in search}
    study = Study(
        core=core,
        name=fields.study,
        question=fields.question,
        source_name=path.name,
        data=source,
        sets=sets,
        base=base,
        search=search,
        constraints=parse_conditions(
            core.config_class, root.value.get("constraints"), "constraints"
        ),
        start=start_points(core.config_class, root.value.get("start"), everywhere),
        arms=arms,
        notes=notes,
        baseline=baseline,
        metric=fields.metric or next(iter(core.tasks[source.scheme])),
        second_metric=fields.second_metric or "",
        margins=fields.margin,
        sampler=fields.sampler,
        retune={True: "each", False: "reference"}.get(fields.retune, "both"),  # type: ignore[arg-type]
        claims=(),
        budget=fields.budget,
    )
    if not re.fullmatch(NAME, study.name):
        raise error_at(
            root.find_node(("study",)).where,
            f"study: {study.name!r} names a folder; use letters, digits, '.', '_' and '-'",
        )
    # Last, as these need several parts at once; claims name arms and metrics that are checked.
    _check_metrics(root, study)
    _check_arms(study)
    _check_sampler(root, study)
    _check_scheduler(root, study)
    return replace(study, claims=_load_claims(root, study))


def _check_budget(root: Node, fields: StudyFields) -> None:
    given = fields.budget.model_fields_set
    where = root.find_node(("budget",)).where
    if {"candidates", "device_seconds"} <= given and fields.budget.device_seconds is not None:
        raise error_at(
            where,
            "budget: every arm gets the same 'candidates' or the same 'device_seconds'; "
            "remove one of the two",
        )
    if fields.budget.device_seconds is not None and fields.budget.scheduler == "asha":
        raise error_at(
            where,
            "budget: under 'scheduler: asha' an arm's seconds depend on what has finished when; "
            "with 'device_seconds' use none or bracket",
        )


def _base_and_search(core: Core, root: Node) -> tuple[Any, dict[str, Domain]]:
    kind = core.config_class
    changes = fixed_fields(kind, root.value["base"], "base") if "base" in root.value else {}
    search = searched_fields(kind, root.value["search"], "search") if "search" in root.value else {}
    for name in search.keys() & changes.keys():
        raise error_at(
            root.value["search"].where
            if name not in root.value["search"].value
            else root.value["search"].value[name].where,
            f"search: '{name}' is searched here and fixed in 'base'; remove one of the two",
        )
    return config_paths.replace(default_of(kind), changes), search


def _load_arms(core: Core, root: Node, base: Any) -> tuple[tuple[Arm, ...], tuple[str, ...]]:
    """Return the arms, each name once, and notes on what was left out."""
    exclusion = Exclusion(base)
    components = parse_study_components(core.config_class, root.value.get("components"))
    listed = parse_arms(core, root.value["arms"], components, exclusion)
    rules = parse_conditions(core.config_class, root.value.get("exclude"), "exclude")
    kept = exclusion.drop_excluded(listed, rules)
    notes = [
        f"exclude '{rule}' leaves out {count} {'arm' if count == 1 else 'arms'}"
        for rule, count in exclusion.counts.items()
    ]
    seen: dict[str, Arm] = {}
    for arm in kept:
        if not arm.name.strip() or len(arm.name) > LONGEST_NAME or not arm.name.isprintable():
            raise error_at(
                arm.where,
                f"arms: {arm.name[:LONGEST_NAME]!r} is no name for a row of a table; use 1 to "
                f"{LONGEST_NAME} letters, digits and signs, or shorter names of components",
            )
        known = seen.setdefault(arm.name, arm)
        if known != arm:
            raise error_at(
                arm.where,
                f"arms: '{arm.name}' is there twice, with different fields; first at "
                f"{known.where}; rename one (the first of a design by a 'reference' beside it)",
            )
        # Two designs may list the same arm; it then has the factors of both.
        if arm is not known:
            seen[arm.name] = replace(
                arm if arm.reference else known, levels={**arm.levels, **known.levels}
            )
    if len(seen) > MOST_ARMS:
        raise error_at(
            root.find_node(("arms",)).where,
            f"arms: {len(seen):,} of them, but at most {MOST_ARMS:,} are allowed; leave some out",
        )
    if not seen:
        left = " that no rule excludes" if rules or exclusion.counts else ""
        raise error_at(root.find_node(("arms",)).where, f"arms: needs at least one arm{left}")
    return tuple(seen.values()), tuple(notes)


def _find_baseline(root: Node, fields: StudyFields, arms: Sequence[Arm]) -> str:
    names = [arm.name for arm in arms]
    if fields.baseline is None:
        reference = next((arm.name for arm in arms if arm.reference), None)
        if reference is None and "full" in names:
            reference = "full"
        if reference is None:
            raise error_at(
                root.find_node(("arms",)).where,
                "'baseline' is missing: no design has a reference; name one of "
                f"{_name_some(names)}",
            )
        return reference
    if fields.baseline not in names:
        raise error_at(
            root.find_node(("baseline",)).where,
            f"baseline: '{fields.baseline}' is not an arm{did_you_mean(fields.baseline, names)}; "
            f"the arms are {_name_some(names)}",
        )
    return fields.baseline


def _name_some(names: Sequence[str], most: int = 12) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _check_metrics(root: Node, study: Study) -> None:
    for scheme in dict.fromkeys(source.scheme for source in study.sets.values()):
        metrics = tuple(study.core.tasks[scheme])
        named = [(("metric",), study.metric)]
        if study.second_metric:
            named.append((("second_metric",), study.second_metric))
        for path, name in named + [(("margin", name), name) for name in study.margins]:
            allowed = (*metrics, PARAMETERS) if path[0] == "second_metric" else metrics
            if name not in allowed:
                raise error_at(
                    root.find_node(path).where,
                    f"{path[0]}: '{name}' is not a metric of the '{scheme}' labels"
                    f"{did_you_mean(name, allowed)}; allowed are {', '.join(allowed)}",
                )
        for name, margin in study.margins.items():
            where = root.find_node(("margin", name)).where
            check_at(where, "margin", check_unit, study.core.tasks[scheme][name], margin)
    if study.second_metric == study.metric:
        raise error_at(
            root.find_node(("second_metric",)).where,
            f"second_metric: '{study.metric}' is the first already; name another or leave it out",
        )


def _check_arms(study: Study) -> None:
    most = combinations_per_arm(len(study.arms))
    for arm in study.arms:
        config = check_at(arm.where, "arms", config_paths.replace, study.base, arm.changes)
        search = {**study.search, **arm.search}
        check_at(arm.where, f"arms: '{arm.name}'", pick_order, search)
        for scheme in dict.fromkeys(source.scheme for source in study.sets.values()):
            if reason := find_refusal(
                study.core, config, search, arm.changes, scheme, study.constraints, most
            ):
                raise error_at(arm.where, f"arms: '{arm.name}': {reason}")


def _check_sampler(root: Node, study: Study) -> None:
    where = root.find_node(("sampler",)).where
    if study.second_metric and study.sampler not in TWO_OBJECTIVES:
        raise error_at(
            where,
            f"sampler: '{study.sampler}' knows one objective; with 'second_metric' use one of "
            f"{', '.join(TWO_OBJECTIVES)}",
        )
    if study.sampler != "grid":
        return
    searches = [study.search, *(arm.search for arm in study.arms)]
    for name, domain in ((name, domain) for search in searches for name, domain in search.items()):
        if values_of(domain) is None:
            raise error_at(
                where,
                f"sampler: a grid needs a number of values for '{name}'; give its domain a 'step', "
                "or a 'choice' of values",
            )


def _check_scheduler(root: Node, study: Study) -> None:
    if study.budget.scheduler != "none" and not study.core.epochs(study.base):
        raise error_at(
            root.find_node(("budget", "scheduler")).where,
            f"budget: '{study.budget.scheduler}' compares candidates after some of their epochs, "
            f"and '{study.core.name}' has no field that tells how many there are; call it 'epochs' "
            "and report each, or use 'scheduler: none'",
        )


def _load_claims(root: Node, study: Study) -> tuple[Claim, ...]:
    node = root.value.get("claims")
    if node is None:
        return ()
    return tuple(_load_claim(entry, study) for entry in node.value)


def _load_claim(entry: Node, study: Study) -> Claim:
    claim = check_at(
        entry.where,
        "claims",
        parse_claim,
        entry.plain_value(),
        arms=[arm.name for arm in study.arms],
        baseline=study.baseline,
        primary=study.metric,
        metrics=tuple(study.task),
        margins=study.margins,
    )
    check_at(
        entry.where, f"claims: '{claim.text}'", check_unit, study.task[claim.metric], claim.amount
    )
    return claim
