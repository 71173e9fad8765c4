"""The procedures by name, as in `procedure.kind`."""

from msa_core.procedure import Move, Procedure, StepView
from msa_core.procedure_mla import Mla
from msa_core.procedure_stream import Stream
from msa_core.procedure_two_stage import TwoStage

__all__ = ["PROCEDURES", "Move", "Procedure", "StepView"]

PROCEDURES: dict[str, type[Procedure]] = {
    "joint": Procedure,
    "mla": Mla,
    "two_stage": TwoStage,
    "stream": Stream,
}
