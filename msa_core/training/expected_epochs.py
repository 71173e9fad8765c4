"""How many epochs a training has, before it was trained. Standard library only."""

from msa_core.config.kinds import options_of
from msa_core.config.schema import Config


def stops_early(config: Config) -> bool:
    """Check whether a training may end before its last epoch."""
    return not options_of(config, "procedure", config.procedure.kind).keeps_last


def expected_epochs(config: Config, best_epoch: int = 0) -> float:
    """Return how many epochs a training has about.

    Args:
        config: Its configuration.
        best_epoch: Its best epoch so far, from 1; 0 = none.
    """
    if not stops_early(config):
        return config.train.epochs
    # It trains for its patience from its best epoch at least. Measured on 560 trainings of MOSI
    # (patience 8), the mean of all epochs is about twice the patience, and a cell that trains
    # beyond that improves once more in every other case or less.
    patience = config.train.patience
    least = best_epoch + patience + 0.5
    return min(float(config.train.epochs), max(least, 2.0 * patience))
