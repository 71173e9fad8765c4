"""The ends that a question to the results can come to: a verdict, or a refusal with its reason."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """The verdict on an arm; members are plain text in every file that a report writes."""

    BASELINE = "baseline"
    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent"
    UNDECIDED = "undecided"


class ClaimVerdict(StrEnum):
    """The answer to a claim; members are plain text in every file that a report writes."""

    SUPPORTED = "supported"
    REFUTED = "refuted"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Declined:
    """A question that these results cannot answer.

    Attributes:
        reason: Sentence without a full stop that tells the reader what is missing.
    """

    reason: str
