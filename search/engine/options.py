"""How a study is executed: what a user may say of it, none of which changes a number."""

from dataclasses import dataclass

MINUTE = 60.0
GIGABYTE = 2**30


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOptions:
    """How a study is executed; none of it changes a number, beyond a GPU's own rounding.

    Attributes:
        address: of a Ray cluster; None = this machine alone.
        workers: packs trained at once on this machine; None = its cores.
        gpus_a_worker: share of a GPU that a worker holds; 0 = train on the CPU, None = as fits.
        pack_size: cells trained in one step; None = as measured. 1 = without packs.
        tracking_uri: an MLflow server; None = a SQLite file in the results folder.
        mirror: storage that holds a copy of the results folder; None = no copy.
        retry_failed: train the ledger's failed cells again.
        epoch_minutes: that an epoch may take before it counts as hung; 0 = any.
        checkpoint_minutes: of training between two checkpoints; 0 = none are kept.
        checkpoint_gigabytes: that the checkpoints of the study may take together.
        grace_seconds: for packs that are nearly done when the run is told to stop; None = 30 after
            Ctrl-C, 15 after SIGTERM.
        give_up_after: so many cells that all fail alike at the start of a run end it; 0 = never.
    """

    address: str | None = None
    workers: int | None = None
    gpus_a_worker: float | None = None
    pack_size: int | None = None
    tracking_uri: str | None = None
    mirror: str | None = None
    retry_failed: bool = False
    epoch_minutes: float = 30.0
    checkpoint_minutes: float = 1.0
    checkpoint_gigabytes: float = 5.0
    grace_seconds: float | None = None
    give_up_after: int = 10

    @property
    def epoch_seconds(self) -> float | None:
        """That an epoch may take; None = any."""
        return self.epoch_minutes * MINUTE or None
