"""Whether two trainings are the same, bit by bit."""

import torch


def same_training(first, second):
    """Whether two results have the same curves and the same parameters at the best epoch."""
    state, other = first.trained.state, second.trained.state
    return (
        list(state) == list(other)
        and all(torch.equal(value, other[name]) for name, value in state.items())
        and repr(first.curve) == repr(second.curve)
    )
