"""Claims: what an author expects the table to show, as a sentence that a report can answer.

`<arm> is better|worse [than <arm>] [on <metric>] [by at least <number>]`, or
`<arm> is equivalent [to <arm>] [on <metric>] [within <number>]`.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from spaces.fields.declaration import ConfigError
from spaces.fields.paths import did_you_mean

Relation = Literal["better", "worse", "equivalent"]
RELATIONS: tuple[Relation, ...] = get_args(Relation)
LINKS: Mapping[Relation, str] = {"better": "than", "worse": "than", "equivalent": "to"}
AMOUNTS: Mapping[Relation, str] = {
    "better": "by at least",
    "worse": "by at least",
    "equivalent": "within",
}
FORMS = (
    "'<arm> is better|worse [than <arm>] [on <metric>] [by at least <number>]' or "
    "'<arm> is equivalent [to <arm>] [on <metric>] [within <number>]'"
)
LISTED = 12  # names in a message; a study may have a thousand arms
Names = Sequence[tuple[str, str]]  # single-spaced name, name; the longest first


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim.

    Attributes:
        text: The claim as it was written, with single spaces; read again it is the same claim.
        arm, relation, other: Parts of `arm` is `relation` than (to) `other`.
        metric: Metric on which the arms are compared.
        amount: Least difference, >= 0, of better or worse; greatest one, > 0, of equivalent. In the
            unit of the metric.
    """

    text: str
    arm: str
    relation: Relation
    other: str
    metric: str
    amount: float


def parse_claim(
    text: object,
    *,
    arms: Sequence[str],
    baseline: str,
    primary: str,
    metrics: Sequence[str],
    margins: Mapping[str, float],
) -> Claim:
    """Parse the claim that a text states.

    Names of arms may hold the grammar's own words: every way to read the text with known arms is
    tried, and a text that states two different claims is refused.

    Args:
        text: Text of the study file; what is not a text is refused.
        arms: Names of the study's arms.
        baseline: Arm of the comparison where the claim names no other.
        primary: Metric where the claim names none.
        metrics: Metrics that may be named.
        margins: Metric -> margin, the amount of an equivalence that gives none.

    Raises:
        ConfigError: Not of one of the two forms, an unknown name, an arm compared with itself, an
            amount that cannot be, or more than one meaning.
    """
    if not isinstance(text, str) or not text.strip():
        raise ConfigError(f"a claim is a text such as {FORMS}, but got {text!r}")
    reader = _Reader(
        text=_single_spaced(text),
        arms=_by_length(arms),
        baseline=baseline,
        primary=primary,
        metrics=_by_length(metrics),
        margins=margins,
    )
    found = list(dict.fromkeys(reader.read_claims()))
    if not found:
        raise ConfigError(f"'{reader.text}': {reader.furthest_problem()}")
    if len(found) > 1:
        raise ConfigError(
            f"'{reader.text}' can be read in {len(found)} ways, e.g. as {_spell_out(found[0])} and "
            f"as {_spell_out(found[1])}; write out what is left to a default, or rename an arm"
        )
    return found[0]


@dataclass(kw_only=True, slots=True)
class _Reader:
    """Reads one text in every possible way, and remembers what stopped each."""

    text: str
    arms: Names
    baseline: str
    primary: str
    metrics: Names
    margins: Mapping[str, float]
    problems: list[tuple[int, str]] = field(default_factory=list)

    def read_claims(self) -> Iterator[Claim]:
        """Yield every valid reading, that of the longest names first."""
        for arm, rest in self._read_subject():
            for relation, after in self._read_relation(rest):
                for other, end in self._read_other_arm(relation, after):
                    for metric, amount in self._read_metric(relation, end):
                        yield from self._check_claim(arm, relation, other, metric, amount)

    def furthest_problem(self) -> str:
        """Return what stopped the reading that came furthest."""
        # The one with the least text left. Of several, `min` takes the first: that of the longest
        # names, with which reading begins.
        return min(self.problems, key=lambda problem: problem[0])[1]

    def _note_problem(self, rest: str, problem: str) -> None:
        self.problems.append((len(rest), problem))

    def _read_subject(self) -> Iterator[tuple[str, str]]:
        yield from _match_names(self.text, self.arms)
        # For the message: the words in which the name of an arm was meant to be.
        guess = re.split(rf" is (?:{'|'.join(RELATIONS)})(?: |$)", self.text, maxsplit=1)[0]
        if guess == self.text:
            guess = self.text.split(" is ", maxsplit=1)[0]
        self._note_problem(self.text, f"it must begin with an arm, but {self._no_arm(guess)}")

    def _read_relation(self, rest: str) -> Iterator[tuple[Relation, str]]:
        for relation in RELATIONS:
            if (after := _text_after(rest, f"is {relation}")) is not None:
                yield relation, after
        if rest and _text_after(rest, "is") is None:
            return  # the name of an arm goes on: then it is the arm that is unknown
        found = " ".join(rest.split()[:2])
        allowed = [f"is {relation}" for relation in RELATIONS]
        self._note_problem(
            rest,
            f"an arm is followed by {_list_names(allowed)}, but "
            + (
                f"here by '{found}'{did_you_mean(found, allowed)}"
                if found
                else "the claim ends there"
            ),
        )

    def _read_other_arm(self, relation: Relation, rest: str) -> Iterator[tuple[str, str]]:
        link = LINKS[relation]
        after = _text_after(rest, link)
        if after is None:
            yield self.baseline, rest
            return
        for other, end in _match_names(after, self.arms):
            # Otherwise the name of an arm goes on: it is a longer, unknown one.
            if not end or end.split()[0] in ("on", "by", "within"):
                yield other, end
        guess = re.split(r"(?:^| )(?:on|within|by)(?: |$)", after, maxsplit=1)[0]
        self._note_problem(after, f"after '{link}' comes an arm, but {self._no_arm(guess)}")

    def _read_metric(self, relation: Relation, rest: str) -> Iterator[tuple[str, str | None]]:
        """Yield the metric, and the words of the amount."""
        after = _text_after(rest, "on")
        named = [(self.primary, rest)] if after is None else _match_names(after, self.metrics)
        for metric, end in named:
            if not end:
                yield metric, None
            elif (words := _text_after(end, AMOUNTS[relation])) is not None:
                yield metric, words
            else:
                self._note_problem(end, _not_understood(relation, end))
        if after is not None:
            guess = re.split(r"(?:^| )(?:within|by)(?: |$)", after, maxsplit=1)[0]
            metrics = [name for _, name in self.metrics]
            self._note_problem(
                after,
                f"after 'on' comes a metric, but {_no_such_name(guess, metrics)}; "
                f"allowed are {_list_names(sorted(metrics))}",
            )

    def _check_claim(
        self, arm: str, relation: Relation, other: str, metric: str, words: str | None
    ) -> Iterator[Claim]:
        """Yield the claim, if it makes sense."""
        if arm == other:
            itself = "itself, the baseline" if arm == self.baseline else "itself"
            link = LINKS[relation]
            self._note_problem(
                "", f"this compares '{arm}' with {itself}; name another arm after '{link}'"
            )
            return
        amount = self._read_amount(relation, metric, words)
        if isinstance(amount, str):
            self._note_problem("", amount)
        else:
            yield Claim(self.text, arm, relation, other, metric, amount)

    def _read_amount(self, relation: Relation, metric: str, words: str | None) -> float | str:
        """Return the amount, or why there is none."""
        equivalent = relation == "equivalent"
        if words is None and not equivalent:
            return 0.0
        if words is None:
            return self.margins.get(metric) or (
                f"'is equivalent' needs 'within <number>' at the end, or '{metric}' in the study's "
                "'margin'"
            )
        form = AMOUNTS[relation]
        try:
            # `float` would also read `1_000` and digits of other scripts.
            amount = float(words) if words.isascii() and "_" not in words else None
        except ValueError:
            amount = None
        if amount is None:
            return f"after '{form}' comes one number and nothing else, but got '{words}'"
        if not math.isfinite(amount) or amount < 0 or (equivalent and amount == 0):
            bound = "above 0" if equivalent else "0 or more"
            return f"the number after '{form}' must be finite and {bound}, but got {words}"
        return abs(amount)  # -0 is 0

    def _no_arm(self, guess: str) -> str:
        arms = [name for _, name in self.arms]
        return f"{_no_such_name(guess, arms)}; the arms are {_list_names(sorted(arms))}"


def _single_spaced(text: str) -> str:
    return " ".join(text.split())


def _by_length(names: Sequence[str]) -> Names:
    return sorted(
        ((_single_spaced(name), name) for name in names), key=lambda pair: (-len(pair[0]), pair)
    )


def _text_after(text: str, words: str) -> str | None:
    """Return what follows some whole words at the start of a text; None if they are not there."""
    if text == words:
        return ""
    return text.removeprefix(words + " ") if text.startswith(words + " ") else None


def _match_names(text: str, names: Names) -> Iterator[tuple[str, str]]:
    """Yield every known name that a text starts with, and what follows it."""
    for spaced, name in names:
        if (rest := _text_after(text, spaced)) is not None:
            yield name, rest


def _list_names(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(f"'{name}'" for name in names[:LISTED]) + more


def _no_such_name(guess: str, names: Sequence[str]) -> str:
    return f"'{guess}' is none{did_you_mean(guess, names)}" if guess else "nothing is there"


def _not_understood(relation: Relation, rest: str) -> str:
    word, link, form = rest.split()[0], LINKS[relation], AMOUNTS[relation]
    if word in ("by", "at", "least", "within"):
        return f"the amount of 'is {relation}' is written '{form} <number>', but got '{rest}'"
    if word in LINKS.values():
        return f"the other arm comes first, as 'is {relation} {link} <arm>', but got '{rest}'"
    return (
        f"'{rest}' is not understood; after 'is {relation}' may come '{link} <arm>', "
        f"'on <metric>' and '{form} <number>', in this order"
    )


def _spell_out(claim: Claim) -> str:
    amount = f"{AMOUNTS[claim.relation]} {claim.amount:g}"
    return (
        f"[{claim.arm}] is {claim.relation} {LINKS[claim.relation]} [{claim.other}] "
        f"on [{claim.metric}] {amount}"
    )
