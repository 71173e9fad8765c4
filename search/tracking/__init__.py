"""From the ledger to MLflow: idempotent, in a process of its own."""

from search.tracking.background import BackgroundTracking
from search.tracking.marker import is_synced
from search.tracking.report import attach_in_time, has_report
from search.tracking.store import local_store
from search.tracking.sync import SyncResult, sync_study
from search.tracking.tracker import Tracker

__all__ = [
    "BackgroundTracking",
    "SyncResult",
    "Tracker",
    "attach_in_time",
    "has_report",
    "is_synced",
    "local_store",
    "sync_study",
]
