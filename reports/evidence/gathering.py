"""All evidence beyond the table, from one results table."""

from collections.abc import Mapping

from reports.evidence.comparison import Comparison
from reports.evidence.evidence import Evidence
from reports.results import Metric, Results


def gather(
    results: Results, comparison: Comparison, metrics: Mapping[str, Metric], *, seed: int
) -> Evidence:
    """Everything beyond arms against the baseline; what can't be said is in `declined`.

    Args:
        results: complete or not.
        comparison: of the same results.
        metrics: name -> its definition.
        seed: of all resampling.
    """
    return Evidence()
