"""What an arm's run in MLflow says of its cells. Imports no mlflow."""

from collections.abc import Sequence

import numpy as np

from search.ledger.record import CellRecord
from spaces.plan.plan import CONFIRM


def arm_means(cells: Sequence[CellRecord]) -> dict[str, float]:
    """Mean of each metric over the complete confirm cells of one arm: `confirm.mean.<metric>`."""
    confirmed = _confirmed(cells)
    shared = [set(cell.metrics) for cell in confirmed]
    names = sorted(set.intersection(*shared)) if shared else []
    return {
        f"confirm.mean.{name}": float(np.mean([cell.metrics[name] for cell in confirmed]))
        for name in names
    }


def best_params(cells: Sequence[CellRecord]) -> dict[str, str]:
    """The candidate that was confirmed: `best.<field>`.

    As tags and not as params, since MLflow never lets a param change, and a larger budget may
    find a better candidate.
    """
    confirmed = _confirmed(cells)
    if not confirmed:
        return {}
    return {f"best.{name}": str(value) for name, value in confirmed[0].params.items()}


def arm_status(cells: Sequence[CellRecord], complete: bool) -> str:
    """MLflow's word for how an arm ended."""
    if not complete:
        return "KILLED"
    return "FINISHED" if _confirmed(cells) else "FAILED"


def _confirmed(cells: Sequence[CellRecord]) -> list[CellRecord]:
    return [cell for cell in cells if cell.phase == CONFIRM and cell.status == "complete"]
