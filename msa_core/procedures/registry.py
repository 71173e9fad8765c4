"""The procedures by name, as in `procedure.kind`."""

from msa_core.procedures.base import Move, Procedure, StepView
from msa_core.procedures.mla import Mla
from msa_core.procedures.stream import Stream
from msa_core.procedures.two_stage import TwoStage

__all__ = ["PROCEDURES", "Move", "Procedure", "StepView"]

# `joint` is the base class itself: one pass, one move, one block.
PROCEDURES: dict[str, type[Procedure]] = {
    "joint": Procedure,
    "mla": Mla,
    "two_stage": TwoStage,
    "stream": Stream,
}
