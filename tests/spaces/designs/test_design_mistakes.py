"""Mistakes in designs, conditions, budgets and the other open parts: one line each, with a fix."""

from collections.abc import Callable
from pathlib import Path

import pytest

from spaces.errors import StudyError
from spaces.fields.declaration import ConfigError
from spaces.plan.arms_on_data import Versions
from spaces.plan.plan import plan_study
from spaces.study_file.load import load_study

WriteStudy = Callable[[str], Path]

HEAD = """\
study: s
components:
  TA: {loss.alignment.text_audio.mode: shared}
  TV: {loss.alignment.text_vision.mode: shared}
search:
  train.learning_rate: {log_uniform: [1e-4, 1e-2]}
"""
ARMS = "arms:\n  - explicit: {full: {}, sum: {model.fusion.kind: sum}}\n"

# The first design of a study, in its eighth line -> the message.
DESIGNS = {
    "- factorial: [TA, TV]\n    refrence: x": (
        "study.yaml:9: arms: 'refrence' can't stand beside factorial; allowed there are reference, "
        "exclude; did you mean 'reference'?"
    ),
    "- explicit: {a: {}}\n    reference: a": (
        "study.yaml:9: arms: 'reference' can't stand beside explicit; allowed there are exclude"
    ),
    "- explicit: {a: {}}\n    factorial: [TA]": (
        "study.yaml:8: arms: 'explicit' and 'factorial' in one entry; begin each with '-'"
    ),
    "- factorial": "study.yaml:8: 'arms.0': must be a mapping, but got 'factorial'",
    "- factorial: [TA, TVA]": (
        "study.yaml:8: arms: factorial: 'TVA' is not one of the study's components; did you mean "
        "'TV'?; they are TA, TV"
    ),
    "- factorial: [TA, TV, TA]": (
        "study.yaml:8: arms: factorial names the component 'TA' twice"
    ),
    "- factorial: [TA]\n    reference: [x]": (
        "study.yaml:9: arms: reference: needs the name of a row, but got ['x']"
    ),
    "- leave_one_out: text": (
        "study.yaml:8: arms: leave_one_out needs a mapping of names to changed fields, or a list "
        "of the study's components"
    ),
    "- leave_one_out:\n      text: {}": (
        "study.yaml:9: arms: leave_one_out: 'text' changes nothing; name the fields it switches"
    ),
    "- add_one_in: {}": "study.yaml:8: arms: add_one_in needs at least one component",
    "- fractional: [TA, TV]": (
        "study.yaml:8: arms: fractional needs its resolution beside it, e.g. 'resolution: IV'"
    ),
    "- fractional: [TA, TV]\n    resolution: II": (
        "study.yaml:9: arms: resolution: must be one of III, IV, V, VI, VII, but got 'II'"
    ),
    "- fractional: [TA, TV]\n    resolution: true": "9: arms: resolution: must be one of",
    "- fractional: [TA, TV]\n    resolution: IV": (
        "study.yaml:8: arms: fractional: `3 <= resolution <= components` must hold, but got "
        "resolution 4 for 2 components; a factorial needs no resolution"
    ),
    "- path: [TA, TV]\n    order: [TA]": (
        "study.yaml:9: arms: order: must name each of TA, TV once, but got ['TA']"
    ),
    "- path: [TA, TV]\n    order: [TA, TV, TV]": "study.yaml:9: arms: order: must name each of",
    "- path: {from: {train.epochs: 3}, to: {train.epochs: 3}}": (
        "study.yaml:8: arms: path: 'from' and 'to' are the same configuration"
    ),
    "- path: {from: {train.epochs: 3}, to: {train.patience: 3}}": (
        "study.yaml:8: arms: path: 'train.epochs' is in 'from' and not in 'to'; give both ends a"
    ),
    "- path: {from: {}, to: {search: {train.epochs: {int: [1, 2]}}}}": (
        "study.yaml:8: arms: path: 'from' and 'to' are two configurations; what is searched goes"
    ),
    "- pairs: all": "study.yaml:8: arms: pairs needs a mapping, e.g. {modes: [off, shared]}",
    "- pairs: {mode: [off]}": (
        "study.yaml:8: arms: pairs: 'mode' is not one of modes, measures, pairs; did you mean "
        "'modes'?"
    ),
    "- pairs: {modes: [off, shard]}": (
        "study.yaml:8: arms: pairs.modes: 'shard' is not one of off, shared, private; did you mean "
        "'shared'?"
    ),
    "- pairs: {measures: [covar]}": "arms: pairs.measures: 'covar' is not one of cov, paircov, cmd",
    "- pairs: {pairs: [text_audo]}": "did you mean 'text_audio'?",
    "- pairs: {modes: [off, off]}": (
        "study.yaml:8: arms: pairs.modes: needs a list of off, shared, private, each at most once"
    ),
    "- pairs: {modes: [off]}": (
        "study.yaml:8: arms: pairs: with 'modes: [off]' there is one arm; add a mode"
    ),
    "- pairs: {modes: [shared, private]}\n    reference: x": (
        "study.yaml:9: arms: pairs: the reference is the arm of no pair, which needs 'off' among"
    ),
    "- product: []": "study.yaml:8: arms: product needs a list of designs, each beginning with '-'",
    "- union: {explicit: {}}": "study.yaml:8: arms: union needs a list of designs",
    "- product: [{explcit: {}}]": "did you mean 'explicit'?",
    "- grid: {}": "8: arms: grid needs a mapping: a field to a list of values, or a name to",
    "- grid: {model.fusion.kind: sum}": (
        "study.yaml:8: arms: grid: 'model.fusion.kind' needs a list of values (if it is a field) "
        "or named alternatives, but got 'sum'"
    ),
    "- grid: {model.fusion.kind: [concat, som]}": "but got 'som'; did you mean 'sum'?",
    "- grid: {model.fusion.kind: [sum, sum]}": "needs a list of values, each once",
    "- grid: {model.fusion.kind: {a: {train.epochs: 3}}}": (
        "study.yaml:8: arms: grid: 'model.fusion.kind' is a field: give it a list of values, or "
        "give the factor a name of its own"
    ),
    "- grid: {model.fusion.knd: [concat, sum]}": (
        "study.yaml:8: arms: grid: 'model.fusion.knd' is not a field; did you mean "
        "'model.fusion.kind'?; alternatives of a name of its own are written {small: {...}, large:"
    ),
    "- grid: {model.fusion.kind: [sum, tfn]}\n    reference: fusion tnf": (
        "study.yaml:9: arms: reference: 'fusion tnf' is no arm of the grid; did you mean "
        "'fusion tfn'?; its arms are called like 'fusion sum'"
    ),
    "- one_at_a_time: [train.epochs]": "study.yaml:8: arms: one_at_a_time needs a mapping",
    "- explicit: {a: {}, b: {model.fusion.kind: sum}}": (
        "study.yaml:7: 'baseline' is missing: no design has a reference; name one of a, b"
    ),
    "- explicit: {TA: {train.epochs: 3}}\n  - factorial: [TA, TV]": (
        "study.yaml:9: arms: 'TA' is there twice, with different fields; first at study.yaml:8; "
        "rename one (the first of a design by a 'reference' beside it)"
    ),
    "- explicit: {a: {train.epochs: 3, search: {train.epochs: {int: [1, 3]}}}}": (
        "study.yaml:8: arms: 'a': 'train.epochs' is both fixed and searched here; remove one"
    ),
    "- explicit: {1: {}, '1': {}}": "'1' is written twice, as a word and as another value",
    f"- explicit: {{{'x' * 201}: {{}}}}": "is no name for a row of a table; use 1 to 200 letters",
    '- explicit: {"two\\nlines": {}}': "arms: 'two\\nlines' is no name for a row",
    "- explicit: {}": "study.yaml:7: arms: needs at least one arm",
}  # fmt: skip

# The other parts, before and after the arms (lines 7 and 8, or 9 on) -> the message.
PARTS = {
    ("start: {train.learning_rate: 0.1}\n", ""): (
        "study.yaml:7: start: 'train.learning_rate' is searched in a domain that has no 0.1; widen "
        "the domain or change the value"
    ),
    ("start: [{train.epochs: 3}]\n", ""): (
        "study.yaml:7: start: 'train.epochs' is not searched; put its value into 'base'"
    ),
    (
        "start: [{}]\n",
        "",
    ): "study.yaml:7: start: a starting point names at least one searched field",
    ("start: [3]\n", ""): "study.yaml:7: 'start.0': must be a mapping, but got 3",
    ("constraints: train.learning_rate > 0.5\n", ""): (
        "arms: 'full': of a thousand random candidates none satisfies the constraints "
        "(train.learning_rate > 0.5); widen the domains or drop a constraint"
    ),
    ("constraints: train.learnin_rate > 0.5\n", ""): (
        "study.yaml:7: constraints: the condition 'train.learnin_rate > 0.5': 'train.learnin_rate' "
        "is not a field; did you mean 'train.learning_rate'?"
    ),
    ("constraints: 3\n", ""): (
        "study.yaml:7: 'constraints': must be a list or a text or a mapping, but got 3"
    ),
    ("exclude: [3]\n", ""): "study.yaml:7: 'exclude.0': must be a text or a mapping, but got 3",
    ("exclude: {model.fusion.knd: sum}\n", ""): "did you mean 'model.fusion.kind'?",
    ("exclude: train.epochs > 0\n", ""): (
        "study.yaml:8: arms: needs at least one arm that no rule excludes"
    ),
    ("", "budget: {candidates: 3, device_seconds: 10}\n"): (
        "study.yaml:9: budget: every arm gets the same 'candidates' or the same 'device_seconds'; "
        "remove one of the two"
    ),
    ("", "budget: {scheduler: asha, device_seconds: 10}\n"): (
        "study.yaml:9: budget: under 'scheduler: asha' an arm's seconds depend on what has "
        "finished when; with 'device_seconds' use none or bracket"
    ),
    ("", "sampler: grid\n"): (
        "study.yaml:9: sampler: a grid needs a number of values for 'train.learning_rate'; give "
        "its domain a 'step', or a 'choice' of values"
    ),
    ("", "second_metric: mae\n"): (
        "study.yaml:9: second_metric: 'mae' is the first already; name another or leave it out"
    ),
    ("", "second_metric: parameter\n"): (
        "study.yaml:9: second_metric: 'parameter' is not a metric of the 'mosi' labels; did you "
        "mean 'parameters'?; allowed are mae, corr"
    ),
    ("", "second_metric: corr\nsampler: cmaes\n"): (
        "study.yaml:10: sampler: 'cmaes' knows one objective; with 'second_metric' use one of tpe"
    ),
    ("", "retune: maybe\n"): (
        "study.yaml:9: 'retune': must be true or false or 'both', but got 'maybe'"
    ),
    ("", "baseline: som\n"): "study.yaml:9: baseline: 'som' is not an arm; did you mean 'sum'?",
    ("", "data: {sets: [a]}\n"): (
        "study.yaml:9: data.sets: needs a mapping of names to data sets, with nothing beside it, "
        "e.g. {sets: {mosi: {file: mosi.pkl}, mosei: {file: mosei.pkl}}}"
    ),
    ("", "data: {sets: {a: planted}, labels: mosi}\n"): "with nothing beside it",
    ("", "data: {sets: {}}\n"): "study.yaml:9: data.sets: needs a mapping of names",
    ("", "data: {sets: {../a: planted}}\n"): (
        "study.yaml:9: data.sets: '../a' is part of a folder's name; use letters, digits"
    ),
    ("", "data: {sets: {a: 3}}\n"): "study.yaml:9: data.sets.a: must be a path or a mapping, got 3",
    ("", "data:\n  sets:\n    a: {fil: x}\n"): "study.yaml:11: data: 'fil' is not one of file",
    ("", "claims:\n  - sum is better\n  - som is better\n"): (
        "study.yaml:11: claims: 'som is better': it must begin with an arm, but 'som' is none; did "
        "you mean 'sum'?; the arms are 'full', 'sum'"
    ),
    ("", "claims: [sum is bettr]\n"): "study.yaml:9: claims: 'sum is bettr': an arm is followed by",
    ("", "claims: sum is better\n"): "study.yaml:9: 'claims': must be a list, but got 'sum is",
    ("  train.weight_decay: {uniform: [0, 0.1], when: train.momentm > 1}\n", ""): (
        "study.yaml:7: search: 'train.weight_decay': when: the condition 'train.momentm > 1'"
    ),
    ("  train.weight_decay: {uniform: [0, 0.1], step: 1e-320}\n", ""): (
        "study.yaml:7: search: 'train.weight_decay': the step 9.99989e-321 makes too many values"
    ),
    ("  train.weight_decay: {log_uniform: [1e-310, 0.1]}\n", ""): (
        "study.yaml:7: search: 'train.weight_decay': log_uniform from 1e-310 to 0.1 is too wide"
    ),
    (f"constraints: [{', '.join(f'train.epochs > {n}' for n in range(101))}]\n", ""): (
        "study.yaml:7: constraints: 101 conditions, but at most 100 are allowed; join some by"
    ),
    ("", "components: [a]\n"): "found duplicate key",
}


def message_of(path: Path) -> str:
    with pytest.raises((StudyError, ConfigError)) as caught:
        plan_study(load_study(path), Versions(data="", code=""))
    assert str(caught.value).isprintable()
    return str(caught.value)


@pytest.mark.parametrize("design", DESIGNS)
def test_a_mistake_in_a_design_is_one_line_with_its_fix(
    design: str, write_study: WriteStudy
) -> None:
    assert DESIGNS[design] in message_of(write_study(f"{HEAD}arms:\n  {design}\n"))


@pytest.mark.parametrize("parts", PARTS)
def test_a_mistake_in_another_part_is_one_line_with_its_fix(
    parts: tuple[str, str], write_study: WriteStudy
) -> None:
    before, after = parts
    assert PARTS[parts] in message_of(write_study(f"{HEAD}{before}{ARMS}{after}"))


# Whole files that are no studies, and what is wrong with them.
FILES = {
    "study: s\ncomponents: [a]\narms: []\n": "study.yaml:2: 'components': must be a mapping",
    "study: s\ncomponents:\n  x: {on: {}, off: {}}\narms: []\n": (
        "study.yaml:3: components: 'x' changes nothing; name the fields it switches"
    ),
    "study: s\narms:\n  - factorial: [TA]\n": (
        "'TA' is not one of the study's components; it has none: give each name its fields"
    ),
    f"study: {'[' * 40}{']' * 40}\n": "study.yaml:1: more than 32 brackets inside one another",
    f"study: s\narms:\n{'- ' * 40}a\n": "values inside one another",
    f"{'? ' * 200}a\n": "study.yaml:1: a key must be a word, not a mapping or a list",
    "study: s\n{a: 1}: 2\n": "study.yaml:2: a key must be a word, not a mapping or a list",
    "study: s\narms: &a\n  - *a\n": "study.yaml",
    "a: &a [1, 1, 1, 1, 1, 1, 1, 1]\n"
    + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}' if n else '*a'] * 8)}]\n" for n in range(9)
    ): "more than 100,000 values; is an alias part of itself?",
    "study: &a {<<: *a}\n": "not valid YAML",
    f"study: s\narms: [{'1, ' * 200_000}]\n": "is longer than 200,000 characters",
    f"study: s\nbase: {{train.epochs: {'9' * 5000}}}\n": "study.yaml:",
    f"study: s\nbase: {{train.epochs: 0x{'f' * 5000}}}\n": "a whole number of more than 300 digits",
    "study: s\narms: !!python/object/apply:os.system [ls]\n": "study.yaml:2: 'arms.0': must be",
    'study: "\\ud800"\narms: [{explicit: {full: {}}}]\n': "study: '\\ud800' names a folder",
}


@pytest.mark.parametrize("text", FILES, ids=lambda text: text[:20])
def test_a_file_that_is_no_study_is_refused_in_one_line(text: str, write_study: WriteStudy) -> None:
    assert FILES[text] in message_of(write_study(text))


def test_a_message_shows_the_ends_of_a_long_value(write_study: WriteStudy) -> None:
    message = message_of(write_study(f"{HEAD}data: {{labels: [{'mosi, ' * 5000}]}}\n{ARMS}"))
    assert message.startswith(
        "study.yaml:7: data.labels: must be one of mosi, sims, but got ['mosi'"
    )
    assert len(message) <= 1500


def test_a_thousand_arms_are_enough(write_study: WriteStudy) -> None:
    levels = ", ".join(str(number) for number in range(1, 601))
    grids = f"  - grid: {{train.epochs: [{levels}]}}\n  - grid: {{train.patience: [{levels}]}}\n"
    message = message_of(write_study(f"{HEAD}baseline: epochs 1\narms:\n{grids}"))
    assert message == (
        "study.yaml:8: arms: 1,200 of them, but at most 1,024 are allowed; leave some out"
    )
