"""Study fields, designs, domains and samplers, each with its meaning and a small example.

`triptych explain` and `docs/studies.md` are made of these texts, so they can't disagree. The arms
that an example makes are found out by reading it as a study is read.
"""

from dataclasses import dataclass

from spaces.core import Core
from spaces.designs.make_arms import Arm
from spaces.designs.parse_designs import (
    DEFAULT_REFERENCES,
    DESIGN_OPTIONS,
    DESIGNS,
    Exclusion,
    parse_arms,
)
from spaces.fields.paths import default_of
from spaces.help.schema import first_line, meaning_of_design
from spaces.help.values import allowed_values, study_fields
from spaces.search_space.domains import DOMAIN_CLASSES, DOMAIN_OPTIONS, DOMAINS
from spaces.study_file.claims import FORMS
from spaces.syntax.document import parse_yaml

# Study field -> how it is written.
STUDY_EXAMPLES = {
    "study": "study: alignment",
    "question": "question: Does aligning text and audio help?",
    "data": "data: {file: mosi.pkl, labels: mosi}",
    "core": "core: train.py",
    "task": "task: multiclass",
    "plugins": "plugins: [my_fusion.py]",
    "base": "base: {model.fusion.kind: concat, train.epochs: 40}",
    "components": "components:\n"
    "  alignment: {loss.alignment.text_audio.mode: shared}\n"
    "  text: {off: {model.text.use: false}}",
    "search": "search:\n"
    "  train.learning_rate: {log_uniform: [2e-4, 5e-3]}\n"
    "  model.fusion.lmf.rank: {int: [3, 6], when: {model.fusion.kind: lmf}}",
    "start": "start:\n  - {train.learning_rate: 1e-3}",
    "constraints": "constraints:\n  - model.text.width >= 2 * model.projection.width",
    "arms": "arms:\n  - leave_one_out:\n      text: {model.text.use: false}",
    "exclude": "exclude:\n  - {model.fusion.kind: tfn, train.batch_size: [16, 32]}",
    "baseline": "baseline: full",
    "metric": "metric: mae",
    "second_metric": "second_metric: parameters\nmargin: {mae: 0.01}",
    "margin": "margin: {mae: 0.02, corr: 0.01}",
    "sampler": "sampler: tpe",
    "retune": "retune: both",
    "claims": "claims:\n"
    "  - without text is worse by at least 0.1\n"
    "  - without audio is equivalent to full on mae within 0.02",
    "budget": "budget: {candidates: 20, tune_seeds: 3, confirm_seeds: 10}",
    "budget.candidates": "budget: {candidates: 20}",
    "budget.device_seconds": "budget: {device_seconds: 600}",
    "budget.tune_seeds": "budget: {tune_seeds: 3}",
    "budget.confirm_seeds": "budget: {confirm_seeds: 10}",
    "budget.seed": "budget: {seed: 1}",
    "budget.generation": "budget: {generation: 10}",
    "budget.scheduler": "budget: {scheduler: bracket}",
    "budget.bracket": "budget: {scheduler: bracket, bracket: 9}",
    "budget.max_wall_hours": "budget: {max_wall_hours: 8}",
    "budget.max_device_hours": "budget: {max_device_hours: 40}",
}
# Design -> an entry of `arms`.
DESIGN_EXAMPLES = {
    "explicit": """\
explicit:
  full: {}
  tensor fusion: {model.fusion.kind: tfn, model.projection.width: 8}
  attention:
    model.fusion.kind: mult
    model.text.encoder: conv
    model.audio.encoder: conv
    model.vision.encoder: conv
    search:                               # tuned in this arm alone
      model.fusion.mult.layers: {int: [1, 3]}
""",
    "leave_one_out": """\
leave_one_out:                            # what each component's absence changes
  text: {model.text.use: false}
  audio: {model.audio.use: false}
  vision: {model.vision.use: false}
""",
    "add_one_in": """\
add_one_in:                               # what each component's being there changes
  anchors: {loss.contrast.anchor.use: true}
  unimodal heads: {loss.unimodal.kind: fixed}
reference: plain
""",
    "one_at_a_time": """\
one_at_a_time:                            # a field and its values, or a name and its alternatives
  model.fusion.kind: [sum, tfn]
  heads:
    fixed: {loss.unimodal.kind: fixed}
    self-supervised: {loss.unimodal.kind: ulgm}
""",
    "factorial": """\
factorial:
  alignment: {loss.alignment.text_audio.mode: shared}
  anchors: {loss.contrast.anchor.use: true}
""",
    "fractional": """\
fractional:
  alignment: {loss.alignment.text_audio.mode: shared}
  anchors: {loss.contrast.anchor.use: true}
  heads: {loss.unimodal.kind: fixed}
  tensor fusion: {model.fusion.kind: tfn, model.projection.width: 8}
resolution: IV                            # III to VII: the larger, the more arms
""",
    "pairs": """\
pairs:
  modes: [off, shared]                    # and private
  pairs: [text_audio, text_vision]        # all three if left out
""",
    "path": """\
path:
  anchors: {loss.contrast.anchor.use: true}
  heads: {loss.unimodal.kind: fixed}
  alignment: {loss.alignment.text_audio.mode: shared}
order: [heads, alignment, anchors]
""",
    "grid": """\
grid:
  model.fusion.kind: [concat, sum]
  size:
    small: {model.projection.width: 16}
    large: {model.projection.width: 64}
reference: fusion concat, small
""",
    "product": """\
product:
  - pairs: {modes: [off, shared], pairs: [text_audio]}
  - one_at_a_time: {model.fusion.kind: [sum, gated]}
exclude:                                  # beside any design: arms that satisfy a condition
  - {loss.alignment.text_audio.mode: shared, model.fusion.kind: gated}
""",
    "union": """\
union:
  - explicit: {full: {}}
  - pairs: {modes: [off, shared], pairs: [text_audio]}
""",
}
DOMAIN_EXAMPLES = {
    "uniform": "model.fusion.dropout: {uniform: [0.0, 0.6], step: 0.1}",
    "log_uniform": "train.learning_rate: {log_uniform: [2e-4, 5e-3]}",
    "int": "model.text.width: {int: [16, 256], log: true}",
    "choice": "model.fusion.kind: {choice: [concat, sum, lmf]}",
}
# Sampler -> when to use it.
SAMPLERS = {
    "tpe": "The default. Learns which values did well; knows every domain and `when`.",
    "random": "Learns nothing, so it can't mislead; enough for one or two fields.",
    "qmc": "Sobol points: as random, but spread evenly; to see how a metric depends on fields.",
    "cmaes": "Many searched numbers and hundreds of candidates; choices are drawn at random.",
    "gp": "A Gaussian process: a few numbers and few, expensive candidates; it thinks for a second "
    "about each.",
    "grid": "Every point of finite domains (`choice`, `int`, `step`), or as many as the budget "
    "has candidates.",
    "nsga2": "Breeds candidates for two objectives (`second_metric`); needs hundreds of them.",
}
# What stands beside a design or a domain.
OPTIONS = {
    "reference": ("the name of the arm that a design compares with", "reference: plain"),
    "resolution": (
        "of a fractional design: at III main effects are mixed with two-way interactions, at IV "
        "not any more, at V two-way interactions are not mixed with each other",
        "resolution: IV",
    ),
    "order": ("of a path: in which order its components are added", "order: [heads, anchors]"),
    "step": (
        "of uniform and int: only low, low + step, ..., high",
        "model.fusion.dropout: {uniform: [0.0, 0.6], step: 0.1}",
    ),
    "log": (
        "of int: all orders of magnitude alike",
        "model.text.width: {int: [16, 256], log: true}",
    ),
    "when": (
        "of a domain: a condition on other fields; where it does not hold the field is not "
        "searched and keeps the arm's own value",
        "model.fusion.lmf.rank: {int: [3, 6], when: {model.fusion.kind: lmf}}",
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Topic:
    """Something of a study file that has a name.

    Attributes:
        what: Kind of the topic: `study field`, `design`, `domain`, `sampler` or `option`.
        meaning: Meaning, in one line.
        facts: Further lines: what it may be, what may stand beside it.
        example: Example, as a study file has it.
    """

    name: str
    what: str
    meaning: str
    facts: tuple[str, ...] = ()
    example: str


def topic_names(core: Core) -> list[str]:
    """Return the names of everything in a study file that is no field of the configuration."""
    # `grid` is a design and a sampler, and listed once.
    names = (*study_fields(core), *DESIGNS, *DOMAINS, *SAMPLERS, *OPTIONS)
    return list(dict.fromkeys(names))


def find_topics(name: str, core: Core) -> list[Topic]:
    """Find all topics of a name: two for `grid`, a design and a sampler; none for a wrong name."""
    found = []
    if name in study_fields(core):
        found.append(_study_topic(name, core))
    if name in DESIGNS:
        found.append(_design_topic(name, core))
    if name in DOMAINS:
        found.append(_domain_topic(name))
    if name in SAMPLERS:
        example = f"sampler: {name}"
        found.append(Topic(name=name, what="sampler", meaning=SAMPLERS[name], example=example))
    if name in OPTIONS:
        meaning, example = OPTIONS[name]
        found.append(Topic(name=name, what="option", meaning=meaning, example=example))
    return found


def example_entry(design: str) -> str:
    """Return the example of a design, as it stands below `arms`."""
    first, *others = DESIGN_EXAMPLES[design].splitlines()
    return "\n".join([f"  - {first}", *(f"    {line}" for line in others)])


def example_arms(design: str, core: Core) -> list[Arm]:
    """Return the arms that a design's example makes."""
    # Read and not written down, so that an example that is no longer valid fails the tests.
    text = f"arms:\n{example_entry(design)}\n"
    node = parse_yaml(text, f"{design}.yaml").value["arms"]
    return parse_arms(core, node, {}, Exclusion(default_of(core.config_class)))


def _study_topic(name: str, core: Core) -> Topic:
    field = study_fields(core)[name]
    allowed = allowed_values(field)
    return Topic(
        name=name,
        what="study field",
        meaning=field.meaning,
        facts=(allowed, FORMS) if name == "claims" else (allowed,),
        example=STUDY_EXAMPLES[name],
    )


def _design_topic(name: str, core: Core) -> Topic:
    beside = [f"beside it: {', '.join(DESIGN_OPTIONS[name])}"]
    if name in DEFAULT_REFERENCES:
        beside[0] += f"; reference is '{DEFAULT_REFERENCES[name]}' if left out"
    arms = ", ".join(f"'{arm.name}'" for arm in example_arms(name, core))
    return Topic(
        name=name,
        what="design",
        meaning=meaning_of_design(name),
        facts=(*beside, f"the arms of the example: {arms}"),
        example=f"arms:\n{example_entry(name)}",
    )


def _domain_topic(name: str) -> Topic:
    return Topic(
        name=name,
        what="domain",
        meaning=first_line(DOMAIN_CLASSES[name]),
        facts=(f"beside it: {', '.join(DOMAIN_OPTIONS[name])}",),
        example=f"search:\n  {DOMAIN_EXAMPLES[name]}",
    )
