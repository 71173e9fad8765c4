"""What the results folder and the reports are told of a plan."""

from collections.abc import Iterator
from dataclasses import asdict, replace

from msa_core.config.paths import fields_of
from msa_core.config.schema import Config
from msa_core.data.dataset import Dataset
from reports.results import Claim, FieldFacts, StudyFacts
from search.provenance import provenance
from search.results.citations import citations
from search.results.folder import Manifest
from spaces.plan.plan import Plan
from spaces.search_space.domains import Int, LogUniform, describe


def study_facts(plan: Plan, dataset: Dataset) -> StudyFacts:
    """What a report needs to know of a plan."""
    study = plan.study
    claims, dropped = _claims(plan)
    methods, references = citations(plan)
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
        provenance=provenance(plan, dataset),
        claims=claims,
        frozen={arm.name: arm.frozen for arm in plan.arms if arm.frozen},
        device_seconds=study.budget.device_seconds,
        second_metric=study.second_metric,
        levels={arm.name: dict(arm.levels) for arm in plan.arms if arm.levels},
        fields=_fields(plan),
        sampler=study.sampler,
        methods=methods,
        references=references,
    )


def _fields(plan: Plan) -> dict[str, FieldFacts]:
    """What a person calls the fields that the plan changes or searches."""
    domains = {path: domain for arm in reversed(plan.arms) for path, domain in arm.space.items()}
    known = fields_of(Config)
    used = {*domains, *(path for arm in plan.arms for path in arm.changes)}
    return {
        path: FieldFacts(
            # A switch is called what it switches: `audio: false`.
            label=path.split(".")[-2] if path.endswith(".use") else info.label,
            symbol=info.symbol,
            domain=describe(domains[path]) if path in domains else "",
            log=isinstance(domain := domains.get(path), LogUniform)
            or (isinstance(domain, Int) and domain.log),
        )
        for path, (info, _) in known.items()
        if path in used
    }


def manifest_of(plan: Plan, dataset: Dataset, tracking_uri: str) -> Manifest:
    """What the results folder remembers of a plan."""
    return Manifest(
        facts=study_facts(plan, dataset),
        arm_keys={arm.name: arm.key for arm in plan.arms},
        test_labels=dataset.test.labels,
        tracking_uri=tracking_uri,
        versions=plan.versions,
    )


def with_tags(manifest: Manifest, dataset: Dataset) -> Manifest:
    """The same, with the kinds of test utterances that a report tells apart.

    Apart from `manifest_of`, which must be quick, because it wants scipy.
    """
    return replace(manifest, tags=dict(_test_tags(dataset)))


def _test_tags(dataset: Dataset) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Dimension and tag of every test utterance, of dimensions in which the utterances differ."""
    from msa_core.analysis.slices import conflict_tags, length_tags, strength_tags

    test, scheme = dataset.test, dataset.splits.scheme
    found = {"sentiment strength": strength_tags(test.labels, scheme)}
    for name in dataset.modalities:
        if name in test.lengths:
            found[f"{name} length"] = length_tags(test.lengths[name])
    for name in dataset.modalities:
        if name in test.unimodal_labels:
            found[f"{name} conflict"] = conflict_tags(test.labels, test.unimodal_labels[name])
    for dimension, tags in found.items():
        if len(set(tags)) > 1:
            yield dimension, tuple(str(tag) for tag in tags)


def _claims(plan: Plan) -> tuple[tuple[Claim, ...], list[str]]:
    """The claims, with merged arms by the name that they have here, and what is said of others."""
    claims, dropped = [], []
    for claim in plan.study.claims:
        arm, other = (plan.merged.get(name, name) for name in (claim.arm, claim.other))
        if arm == other:
            dropped.append(f"claim '{claim.text}': both are one arm here, '{arm}'")
        else:
            claims.append(Claim(**asdict(replace(claim, arm=arm, other=other))))
    return tuple(claims), dropped
