"""The options of a run: how a study is executed, which changes none of its numbers."""

from dataclasses import dataclass

MINUTE = 60.0
GIGABYTE = 2**30


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOptions:
    """The options of a run; none changes a number, beyond a GPU's own rounding.

    Attributes:
        address: Address of a Ray cluster; None = this machine alone.
        workers: Number of packs trained at once on this machine; None = its cores.
        gpus_a_worker: Share of a GPU that a worker holds; 0 = train on the CPU, None = as fits.
        pack_size: Number of cells trained in one step; None = as measured. 1 = without packs.
        tracking_uri: Address of an MLflow server; None = a SQLite file in the results folder.
        mirror: Storage for a copy of the results folder; None = no copy.
        retry_failed: Whether to train the ledger's failed cells again.
        epoch_minutes: Minutes after which an epoch counts as hung; 0 = never.
        checkpoint_minutes: Minutes of training between two checkpoints; 0 = none are kept.
        checkpoint_gigabytes: Largest size of all checkpoints of the study together, in GiB.
        grace_seconds: Seconds that packs which are nearly done get when the run is to stop; None =
            30 after Ctrl-C, 15 after SIGTERM.
        give_up_after: Number of cells that all fail alike at the start of a run and so end it; 0 =
            never.
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
        """Seconds after which an epoch counts as hung; None = never."""
        return self.epoch_minutes * MINUTE or None
