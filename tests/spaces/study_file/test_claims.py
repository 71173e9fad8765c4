"""What an author may claim in a study file."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces.fields.declaration import ConfigError
from spaces.study_file.claims import Claim, parse_claim

KNOWN: dict[str, Any] = {
    "arms": ("full", "without text", "without text alignment", "TA", "TV", "placebo"),
    "baseline": "full",
    "primary": "mae",
    "metrics": ("mae", "corr"),
    "margins": {"corr": 0.05},
}


def _read(text: object, **changes: Any) -> Claim:
    return parse_claim(text, **{**KNOWN, **changes})


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("without text is worse", ("without text", "worse", "full", "mae", 0.0)),
        (
            "without text alignment is worse on mae by at least 0.01",
            ("without text alignment", "worse", "full", "mae", 0.01),
        ),
        ("TA is better than TV on corr", ("TA", "better", "TV", "corr", 0.0)),
        ("full is better than TV by at least 1e-3", ("full", "better", "TV", "mae", 0.001)),
        ("placebo is equivalent to TA within .02", ("placebo", "equivalent", "TA", "mae", 0.02)),
        ("placebo is equivalent on corr", ("placebo", "equivalent", "full", "corr", 0.05)),
        ("TA is worse by at least -0", ("TA", "worse", "full", "mae", 0.0)),
    ],
)
def test_a_claim_says_who_against_whom_on_what_by_how_much(
    text: str, meaning: tuple[object, ...]
) -> None:
    claim = _read(text)
    assert (claim.arm, claim.relation, claim.other, claim.metric, claim.amount) == meaning
    assert str(claim.amount) != "-0.0"


def test_spaces_mean_nothing() -> None:
    assert _read("  TA is\n better   than TV ") == _read("TA is better than TV")
    assert _read(" TA  is better").text == "TA is better"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (3, "a claim is a text such as '<arm> is better"),
        (" ", "a claim is a text such as"),
        ({"TA": "is better"}, "but got {'TA': 'is better'}"),
        ("without text alignmnt is worse", "did you mean 'without text alignment'"),
        ("ta is worse", "must begin with an arm, but 'ta' is none"),
        ("is better", "must begin with an arm"),
        ("TA beats TV", "must begin with an arm, but 'TA beats TV' is none"),
        ("TA", "the claim ends there"),
        ("TA is bettr", "did you mean 'is better'"),
        ("TA is better than placbo on corr", "'placbo' is none; did you mean 'placebo'"),
        ("TA is better than without text alignmnt", "did you mean 'without text alignment'"),
        ("TA is better than", "after 'than' comes an arm, but nothing is there"),
        ("TA is better to TV", "the other arm comes first, as 'is better than <arm>'"),
        ("TA is better on corr than TV", "the other arm comes first"),
        ("TA is equivalent than TV", "as 'is equivalent to <arm>'"),
        ("TA is better on cor", "'cor' is none; did you mean 'corr'?; allowed are 'corr', 'mae'"),
        ("TA is better on", "after 'on' comes a metric, but nothing is there"),
        ("TA is better by 0.1", "is written 'by at least <number>', but got 'by 0.1'"),
        ("TA is better within 0.1", "is written 'by at least <number>'"),
        ("TA is equivalent by at least 0.1", "is written 'within <number>'"),
        ("TA is better by at least", "one number and nothing else, but got ''"),
        ("TA is better by at least 1_0", "one number and nothing else, but got '1_0'"),
        ("TA is better by at least 0.1 points", "nothing else, but got '0.1 points'"),
        ("TA is better by at least nan", "must be finite and 0 or more, but got nan"),
        ("TA is better by at least 1e999", "must be finite and 0 or more"),
        ("TA is better by at least -0.1", "must be finite and 0 or more"),
        ("TA is equivalent within 0", "must be finite and above 0, but got 0"),
        (
            "TA is equivalent",
            "needs 'within <number>' at the end, or 'mae' in the study's 'margin'",
        ),
        ("TA is better clearly", "'clearly' is not understood; after 'is better' may come"),
        ("full is better", "compares 'full' with itself, the baseline; name another arm"),
        (
            "TA is equivalent to TA within 1",
            "compares 'TA' with itself; name another arm after 'to'",
        ),
    ],
)
def test_a_mistake_is_one_line(text: object, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        _read(text)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_message_does_not_list_thousands_of_arms() -> None:
    with pytest.raises(ConfigError, match=r"and 988 more$"):
        _read("none is better", arms=[f"arm {number}" for number in range(1000)])


def test_a_claim_with_two_meanings_is_refused() -> None:
    """Taking one of the two would put a claim into a paper that nobody made."""
    arms = ("full", "TA", "TV", "TV on corr")
    with pytest.raises(ConfigError, match="can be read in 2 ways") as error:
        _read("TA is better than TV on corr", arms=arms)
    assert "[TA] is better than [TV on corr] on [mae] by at least 0" in str(error.value)
    assert "[TA] is better than [TV] on [corr] by at least 0" in str(error.value)
    assert _read("TA is better than TV on corr on corr", arms=arms).other == "TV on corr"
    assert _read("TA is better than TV on mae", arms=arms).other == "TV"


def test_arms_that_differ_only_in_spaces_cannot_be_told_apart() -> None:
    with pytest.raises(ConfigError, match="can be read in 2 ways"):
        _read("a b is better", arms=("a b", "a  b", "full"))


def test_names_that_go_on_like_the_grammar_are_read_whole() -> None:
    arms = ("full", "TA", "TA is better", "TA is better than full", "within", "by at least 1")
    claim = _read("TA is better than full is worse than by at least 1 by at least 1", arms=arms)
    assert (claim.arm, claim.other) == ("TA is better than full", "by at least 1")
    assert claim.amount == 1
    assert _read("TA is better is better", arms=arms).arm == "TA is better"
    assert _read("within is equivalent within 2", arms=arms).amount == 2


WORDS = st.sampled_from(
    ["is", "on", "to", "than", "by", "at", "least", "within", "better", "worse", "mae", "0.1", "x"]
)
NAMES = st.lists(WORDS, min_size=1, max_size=5).map(" ".join)


@given(
    arms=st.lists(NAMES, min_size=2, max_size=5, unique=True),
    relation=st.sampled_from(["better", "worse", "equivalent"]),
    metric=st.sampled_from(["mae", "corr"]),
    amount=st.floats(1e-6, 1e6),
)
def test_arms_named_in_the_grammars_own_words_are_found(
    arms: list[str], relation: str, metric: str, amount: float
) -> None:
    link, by = ("to", "within") if relation == "equivalent" else ("than", "by at least")
    text = f"{arms[0]} is {relation} {link} {arms[1]} on {metric} {by} {amount!r}"
    try:
        claim = _read(text, arms=arms, baseline=arms[-1])
    except ConfigError as error:
        assert "can be read in" in str(error)  # never another meaning in silence
        return
    assert (claim.arm, claim.relation, claim.other) == (arms[0], relation, arms[1])
    assert (claim.metric, claim.amount, claim.text) == (metric, amount, text)
    assert _read(claim.text, arms=arms, baseline=arms[-1]) == claim
    assert _read(text, arms=arms[::-1], baseline=arms[-1]) == claim


@given(st.lists(WORDS | st.sampled_from(["TA", "TV", "full", "corr"]), max_size=10).map(" ".join))
def test_any_text_is_a_claim_or_one_line(text: str) -> None:
    try:
        claim = _read(text)
    except ConfigError as error:
        assert "\n" not in str(error)
    else:
        assert _read(claim.text) == claim
