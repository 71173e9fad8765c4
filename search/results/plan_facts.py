"""The facts of a plan, for the results folder and the reports."""

from dataclasses import asdict, replace

from reports.results import FieldFacts, StatedClaim, StudyFacts
from search.provenance import collect_provenance
from search.results.citations import collect_citations
from search.results.folder import Manifest
from search.results.origins import origins_of
from spaces.abilities import Sliced
from spaces.core import Core, Data
from spaces.fields.paths import fields_of
from spaces.find_core import DEFAULT
from spaces.metrics.kinds import OwnMetric
from spaces.plan.plan import Plan
from spaces.search_space.domains import Int, LogUniform, describe_domain


def study_facts(plan: Plan, dataset: Data) -> StudyFacts:
    """Collect what a report needs to know of a plan."""
    study = plan.study
    claims, dropped = _resolve_claims(plan)
    methods, references = collect_citations(plan)
    return StudyFacts(
        study=study.name,
        question=study.question,
        arms=tuple(arm.name for arm in plan.arms),
        changes={arm.name: dict(arm.changes) for arm in plan.arms},
        baseline=study.baseline,
        primary=study.metric,
        margins=dict(study.margins),
        scheme=study.data.scheme,
        candidates=0 if plan.by_seconds else study.budget.candidates,
        searched={arm.name: tuple(arm.space) for arm in plan.arms},
        tune_seeds=plan.tune_seeds,
        confirm_seeds=plan.confirm_seeds,
        notes=(*plan.notes, *dropped),
        provenance=collect_provenance(plan, dataset),
        claims=claims,
        frozen={arm.name: arm.frozen for arm in plan.arms if arm.frozen},
        device_seconds=study.budget.device_seconds,
        second_metric=study.second_metric,
        levels={arm.name: dict(arm.levels) for arm in plan.arms if arm.levels},
        fields=_field_facts(plan),
        sampler=study.sampler,
        methods=methods,
        references=references,
        core="" if study.core.name == DEFAULT else study.core.name,
        own_metrics={
            name: metric.higher_is_better
            for name, metric in study.task.items()
            if isinstance(metric, OwnMetric)
        },
    )


def _field_facts(plan: Plan) -> dict[str, FieldFacts]:
    """Describe the fields that the plan changes or searches, by path."""
    # Reversed, so that of several arms with a domain for a field the first one's is shown.
    domains = {path: domain for arm in reversed(plan.arms) for path, domain in arm.space.items()}
    known = fields_of(plan.study.core.config_class)
    used = {*domains, *(path for arm in plan.arms for path in arm.changes)}
    return {
        path: FieldFacts(
            # A switch has the name of what it switches: `audio: false`.
            label=path.split(".")[-2] if path.endswith(".use") else info.label,
            symbol=info.symbol,
            domain=describe_domain(domains[path]) if path in domains else "",
            log=isinstance(domain := domains.get(path), LogUniform)
            or (isinstance(domain, Int) and domain.log),
        )
        for path, (info, _) in known.items()
        if path in used
    }


def manifest_of(plan: Plan, dataset: Data, tracking_uri: str) -> Manifest:
    """Return what the results folder keeps of a plan."""
    return Manifest(
        facts=study_facts(plan, dataset),
        arm_keys={arm.name: arm.key for arm in plan.arms},
        test_labels=dataset.test_labels,
        tracking_uri=tracking_uri,
        versions=plan.versions,
        origins=origins_of(plan),
    )


def with_tags(manifest: Manifest, core: Core, dataset: Data) -> Manifest:
    """Add the kinds of test examples that a report tells apart, where the core can."""
    # Apart from `manifest_of`, which a study without work to do calls: these may import scipy.
    if not isinstance(core, Sliced):
        return manifest
    tags = {name: tuple(own) for name, own in core.test_tags(dataset).items()}
    return replace(manifest, tags={name: own for name, own in tags.items() if len(set(own)) > 1})


def _resolve_claims(plan: Plan) -> tuple[tuple[StatedClaim, ...], list[str]]:
    """Return the claims, with merged arms by their name here, and a note for each dropped one."""
    claims, dropped = [], []
    for claim in plan.study.claims:
        arm, other = (plan.merged.get(name, name) for name in (claim.arm, claim.other))
        if arm == other:
            dropped.append(f"claim '{claim.text}': both are one arm here, '{arm}'")
        else:
            claims.append(StatedClaim(**asdict(replace(claim, arm=arm, other=other))))
    return tuple(claims), dropped
