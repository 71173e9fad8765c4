"""The papers that modules come from: every kind has one, or a reason for none."""

import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from msa_core.config.fields import MODALITIES
from msa_core.config.kinds import FAMILIES, declared_origin, kinds_of, options_class
from msa_core.config.schema import Config
from msa_core.reference.citations import (
    ANALYSES,
    DROPOUT,
    FILE,
    TRAINING,
    cited_by,
    read_references,
)
from reports.paper import bibliography
from reports.paper.bibliography import is_entry
from search.results.citations import (
    OF_SAMPLERS,
    OF_SCHEDULERS,
    TOOLS,
    collect_citations,
    read_tools,
)
from spaces.fields import paths
from spaces.fields.paths import replace
from spaces.find_core import DEFAULT
from spaces.plan.arms_on_data import Versions
from spaces.plan.plan import plan_study
from spaces.study_file.file_shape import StudyFields
from spaces.study_file.load import load_study
from tests.cases.paths import REPOSITORY

STUDIES = REPOSITORY / "spaces" / "studies"
UNIMODAL_WEIGHTS = [f"loss.unimodal.{name}.weight" for name in MODALITIES]
REQUIRED = {
    "article": {"author", "title", "journal", "year"},
    "inproceedings": {"author", "title", "booktitle", "year"},
    "incollection": {"author", "title", "booktitle", "publisher", "year"},
    "book": {"author", "title", "publisher", "year"},
    "misc": {"author", "title", "year"},
}


def fields_of(entry: str) -> tuple[str, dict[str, str]]:
    """Type and fields of an entry, a line each; fails on anything else."""
    head, *lines, last = entry.splitlines()
    kind = re.fullmatch(r"@(\w+)\{[^,\s]+,", head)
    assert kind and last == "}", entry
    found: dict[str, str] = {}
    for place, line in enumerate(lines):
        field = re.fullmatch(r"  (\w+)\s*= \{(.*)\}(,?)", line)
        assert field, line
        assert bool(field[3]) == (place + 1 < len(lines)), line
        assert field[1] not in found, line
        assert field[2].strip(), line
        found[field[1]] = field[2]
    return kind[1], found


def bibs() -> Mapping[str, str]:
    return {**read_references(), **read_tools(), **bibliography._statistics_entries()}


ORIGINS = [
    declared_origin(options_class(Config, family, kind))
    for family in FAMILIES
    for kind in kinds_of(Config, family)
]
SWITCHED = [
    origin for info, _ in paths.fields_of(Config).values() for origin in info.origins.values()
]


def test_what_is_cited_is_named_by_the_source_beside_it() -> None:
    for origin in [*ORIGINS, *(own for own in SWITCHED if own.source)]:
        for key in origin.cites:
            assert _names(origin.source, key), (origin.source, key)


def _names(source: str, key: str) -> bool:
    """Whether a `Source:` line names the paper of an entry: author, arXiv number or system."""
    _, entry = fields_of(read_references()[key])
    surname = re.sub(r"[{}\\\"']", "", entry["author"].split(" and ")[0].split(",")[0])
    number = re.search(r"\d{4}\.\d{5}", entry.get("note", ""))
    nicknames = {
        "mao2022msena": "MMSA", "zhang2024clfa": "CLFA", "sarfraz2024beyond": "SAMM",
        "hazarika2020misa": "MISA", "vitter1985reservoir": "SAMM",
    }  # fmt: skip
    return (
        surname in source
        or (number is not None and number[0] in source)
        or nicknames.get(key, "?") in source
    )


def test_entries_are_whole_unique_and_each_is_used() -> None:
    text = FILE.read_text(encoding="utf-8")
    keys = re.findall(r"^@\w+\{([^,]+),", text, re.M)
    assert len(keys) == len(set(keys)) == len(read_references()) == text.count("@")
    used = {key for origin in [*ORIGINS, *SWITCHED] for key in origin.cites}
    used |= {*DROPOUT, *TRAINING, *ANALYSES}
    assert used == set(keys)
    assert set(read_tools()) == {*TOOLS, *OF_SAMPLERS.values(), *OF_SCHEDULERS.values()}
    others = (read_references(), read_tools(), bibliography._statistics_entries())
    assert len(bibs()) == sum(len(entries) for entries in others)


def test_entries_have_the_fields_of_their_type() -> None:
    for key, entry in bibs().items():
        assert is_entry(key, entry), key
        kind, fields = fields_of(entry)
        assert set(fields) >= REQUIRED[kind], key
        assert re.fullmatch(r"(19|20)\d\d", fields["year"])
        assert fields["year"] in key
        if "pages" in fields:
            assert re.fullmatch(r"\d+--\d+", fields["pages"]), key


def test_the_eleven_papers_are_there() -> None:
    text = FILE.read_text(encoding="utf-8")
    for number in ("2305.08473", "2306.04539", "2210.14556", "2007.01179"):
        assert f"arXiv:{number}" in text
    names = "liang2024hemm sarfraz2024beyond zhang2024clfa zhang2024mla zhang2023unseen"
    names += " lin2022mclea yu2021selfmm"
    assert set(names.split()) <= set(read_references())


def test_bibtex_reads_every_entry(program: Callable[[str], str], tmp_path: Path) -> None:
    (tmp_path / "all.bib").write_text("\n\n".join(bibs().values()), encoding="utf-8")
    aux = "\\relax\n\\citation{*}\n\\bibstyle{plain}\n\\bibdata{all}\n"
    (tmp_path / "main.aux").write_text(aux, encoding="utf-8")
    done = subprocess.run(
        [program("bibtex"), "main"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert "Warning" not in done.stdout, done.stdout
    assert (tmp_path / "main.bbl").read_text().count(r"\bibitem") == len(bibs())


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"model.text.encoder": "lstm"}, "hochreiter1997lstm"),
        ({"model.fusion.kind": "tfn"}, "zadeh2017tensor"),
        ({"loss.alignment.text_audio.mode": "shared"}, "lai2024shared"),
        ({"loss.contrast.icl.use": True}, "kendall2018uncertainty"),
        ({"loss.contrast.rbc.use": True}, "shi2019mmvae"),
        ({"loss.unimodal.kind": "ulgm"}, "yu2021selfmm"),
        ({"missing.frames": 0.2}, "yuan2021tfrnet"),
        ({"missing.modalities": 0.2}, "neverova2016moddrop"),
        ({"missing.protocol": "unseen"}, "zhang2023unseen"),
        ({"procedure.kind": "mla", "model.fusion.kind": "sum"}, "zeng2019owm"),
    ],
)
def test_a_switch_that_is_on_brings_its_paper(changes: dict[str, Any], key: str) -> None:
    assert key not in cited_by(Config())
    found = cited_by(replace(Config(), changes))
    assert key in found
    assert set(found) <= set(read_references())


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"loss.contrast.cpc.use": True, "loss.contrast.cpc.weight": 0.0}, "han2021mmim"),
        (
            {"loss.alignment.text_audio.mode": "shared", "loss.alignment.text_audio.weight": 0.0},
            "sun2016coral",
        ),
        ({"loss.alignment.text_audio.measure": "cca"}, "andrew2013dcca"),
        (
            {"loss.contrast.icl.use": True, "loss.contrast.icl.uncertainty": False},
            "kendall2018uncertainty",
        ),
        (
            {
                "loss.contrast.rbc.use": True,
                "loss.contrast.rbc.bound": "elbo",
                "loss.contrast.rbc.contrast": False,
            },
            "burda2016iwae",
        ),
        (
            {"loss.unimodal.kind": "ulgm", **dict.fromkeys(UNIMODAL_WEIGHTS, 0.0)},
            "yu2021selfmm",
        ),
    ],
)  # fmt: skip
def test_what_is_off_or_weighs_nothing_is_not_cited(changes: dict[str, Any], key: str) -> None:
    assert key not in cited_by(replace(Config(), changes))


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_study_is_cited(path: Path) -> None:
    plan = plan_study(load_study(path), Versions(data="d", code="c"))
    methods, entries = collect_citations(plan)
    assert list(methods) == [arm.name for arm in plan.arms]
    assert {key for keys in methods.values() for key in keys} <= set(entries)
    assert all(is_entry(key, entry) for key, entry in entries.items())
    assert (set(ANALYSES) <= set(entries)) == (plan.study.core.name == DEFAULT)
    tuned = any(arm.space for arm in plan.arms)
    assert (OF_SAMPLERS.get(plan.study.sampler, "akiba2019optuna") in entries) == tuned


def test_every_sampler_is_cited_or_is_a_grid() -> None:
    allowed = StudyFields.model_fields["sampler"].annotation.__args__  # type: ignore[union-attr]
    assert set(allowed) - {"grid"} == set(OF_SAMPLERS)


def test_what_a_search_can_switch_on_is_cited(tmp_path: Path) -> None:
    text = (STUDIES / "planted-null.yaml").read_text(encoding="utf-8")
    study = tmp_path / "study.yaml"
    study.write_text(
        re.sub(r"(?m)^search:.*\n((?:[ \t]+.*\n)*)", "", text)
        + "\nsearch:\n  loss.unimodal.kind: {choice: [none, ulgm]}\n",
        encoding="utf-8",
    )
    methods, _ = collect_citations(plan_study(load_study(study), Versions(data="d", code="c")))
    assert all("yu2021selfmm" in keys for keys in methods.values())
