"""Two stages per epoch: first the estimators of information, then the model that they measure."""

from collections.abc import Mapping, Sequence

from msa_core.objective import Term
from msa_core.procedures.base import Move, Procedure, StepView
from msa_core.tensors.parameters import WHOLE

ESTIMATORS = "estimators"
BOUND = "contrast.bound"


class TwoStage(Procedure):
    """Each epoch fits the estimators of `contrast.bound` by their own term, then moves the rest.

    The first pass draws batches and dropout of its own, and modules that keep something keep
    nothing of it. Estimators stand still in the second pass, whose loss has all terms. The term
    of the first pass holds the entropy too, which no estimator enters: only the likelihood moves
    them. Every block has an optimiser of its own, as in the released code.

    Formula: phi <- Adam(phi, d/dphi w L_bound) over train; theta <- Adam(theta, d/dtheta L).
    """

    def block_of(self, parameter: str) -> str:
        """Return the block of the estimators, or that of the rest."""
        # A block has an optimiser of its own: what a stage leaves out stays bit for bit what it
        # was, its means included.
        return ESTIMATORS if parameter.startswith("contrasts.bound.") else WHOLE

    def passes(self, epoch: int) -> Sequence[Sequence[Move]]:
        """List two passes of one move each; the second is that of `train.loss`."""
        fit = Move(name="fit", blocks=(ESTIMATORS,), counts=False, remembers=False)
        return ((fit,), (Move(),))

    def terms(self, move: Move, terms: Mapping[str, Term], view: StepView) -> dict[str, Term]:
        """Return the estimators' own term in the first pass, all in the second."""
        return {BOUND: terms[BOUND]} if move.name == "fit" else dict(terms)
