"""The sections of the page; one without data is absent, not empty."""

from collections.abc import Mapping

from reports.evidence.comparison import Comparison
from reports.evidence.values import Evidence
from reports.page.figures.base import Plot
from reports.results import Results
from reports.tables import Table

Sections = tuple[tuple[str, str], ...]  # id and title


def list_sections(
    results: Results,
    comparison: Comparison,
    evidence: Evidence,
    table: Table,
    plots: Mapping[str, Plot],
) -> tuple[tuple[str, Sections], ...]:
    """List the sections that have something to show, in groups, in the order of the page."""
    # Each section has the same condition as in its template: a link would lead nowhere otherwise.
    known = [
        (
            "The answer",
            [
                ("verdicts", "The verdicts", True),
                ("claims", "The claims", bool(table.claims)),
                ("differences", "How far from the baseline", "delta" in plots),
                ("every-seed", "Every seed", "seeds" in plots),
            ],
        ),
        (
            "What matters",
            [
                ("modules", "What each module does", bool(evidence.effects or evidence.shapley)),
                ("pairs", "Two factors at a time", bool(evidence.matrices)),
                ("path", "One change at a time", bool(evidence.path)),
                ("frozen", "Tuned against frozen", bool(evidence.frozen)),
                ("slices", "Where on the test set", bool(evidence.slices)),
                ("information", "What modalities share", bool(results.information)),
            ],
        ),
        (
            "Training and tuning",
            [
                ("learning", "Learning curves", "learning" in plots),
                ("tuning", "The tuning of each arm", "parallel" in plots or "importance" in plots),
                ("spent", "What tuning bought", "anytime" in plots or "expected" in plots),
                ("trade-offs", "Trade-offs", bool(comparison.fronts)),
            ],
        ),
        (
            "How sure",
            [
                ("limits", "What this study can and cannot say", True),
                ("budget", "Budget and fairness", True),
                ("failures", "Failures", True),
                ("cells", "Every cell", len(results.cells) > 0),
                ("how-to-read", "How to read this", True),
                ("provenance", "Provenance", True),
            ],
        ),
    ]
    groups = [
        (group, tuple((name, title) for name, title, present in sections if present))
        for group, sections in known
    ]
    return tuple((group, sections) for group, sections in groups if sections)
