"""What every worker process of a run has: the data, its device, its share of memory, its limits."""

from dataclasses import dataclass
from typing import Any

import torch

from msa_core.config.paths import replace
from msa_core.data.dataset import Dataset, Split
from msa_core.data.prepared import PreparedSplits
from msa_core.plugins import Plugin
from spaces.plan.plan import Plan
from spaces.search_space.domains import Choice


@dataclass(frozen=True, kw_only=True, slots=True)
class Worker:
    """What a worker process has.

    Attributes:
        prepared: train and valid.
        test: read by `evaluate` alone.
        device: `cpu` or `cuda`.
        gpu_share: of the memory of its GPU.
        memory: bytes of main memory that it may use; 0 = unknown.
        data: fingerprint of the data.
        code: digest of the training core.
        plugins: the study's own modules; their text, since their files may not be where it works.
        epoch_seconds: that an epoch may take before it counts as hung; None = any.
        checkpoint_seconds: of training between two checkpoints.
    """

    prepared: PreparedSplits
    test: Split
    device: str = "cpu"
    gpu_share: float = 0.0
    memory: int = 0
    data: str = ""
    code: str = ""
    plugins: tuple[Plugin, ...] = ()
    epoch_seconds: float | None = None
    checkpoint_seconds: float = 60.0

    @classmethod
    def of(cls, dataset: Dataset, **has: Any) -> "Worker":
        """A worker on a data set."""
        prepared = PreparedSplits(dataset.splits)
        return cls(prepared=prepared, test=dataset.test, data=dataset.fingerprint, **has)

    def warm(self, plan: Plan) -> None:
        """Do to the features, once, what every worker process would have to do."""
        for arm in plan.arms:
            self.prepared.warm(arm.config)
            for path, domain in arm.space.items():
                if isinstance(domain, Choice):
                    for option in domain.options:
                        self.prepared.warm(replace(arm.config, {path: option}))

    @property
    def identity(self) -> str:
        """What a checkpoint of this worker's is of, beside the cell: data, code and plugins."""
        return " ".join([self.data, self.code, *(plugin.digest for plugin in self.plugins)])

    @property
    def share(self) -> int:
        """Bytes on its device that it may use; 0 = unknown."""
        if self.device != "cuda":
            return self.memory
        total = torch.cuda.get_device_properties(0).total_memory
        return int(total * min(1.0, self.gpu_share))
