"""Records of finished cells for tests of the ledger."""

from typing import Any

from search.ledger.record import CellRecord


def record(key: str, **changes: Any) -> CellRecord:
    """A finished cell."""
    values: dict[str, Any] = {
        "key": key,
        "arm": "full",
        "arm_key": "a",
        "phase": "tune",
        "candidate": 0,
        "seed": 1,
        "params": {"train.learning_rate": 0.001},
        "config": {"train.learning_rate": 0.001},
        "status": "complete",
        "epochs": 3,
        "best_epoch": 2,
        "metrics": {"valid.mae": 0.1 + 0.2},
        "curve": {"valid.mae": [1.0, None, 0.5]},
    }
    return CellRecord(**{**values, **changes})
