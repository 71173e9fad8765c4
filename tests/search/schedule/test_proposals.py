"""Candidates: of every sampler, with conditions, constraints and starting points."""

import math
from collections.abc import Mapping, Sequence

import pytest
from optuna.trial import TrialState

from msa_core.config.rules import is_active
from msa_core.config.schema import Config
from msa_core.core import CORE
from search.ledger.record import CellRecord
from search.results.selection import Objective
from search.schedule.proposals import Params, Proposals
from search.schedule.samplers import LEARNING
from spaces.fields.declaration import Value
from spaces.fields.paths import replace
from spaces.plan.arms_on_data import PlannedArm
from spaces.search_space.candidates import grid_size
from spaces.search_space.domains import Choice, Domain, Int, LogUniform, Uniform
from spaces.study_file.file_shape import TWO_OBJECTIVES
from spaces.syntax.constraints import parse_condition

SAMPLERS = (*LEARNING, "random", "qmc", "grid")
GENERATION = 5
RATE, DECAY, WIDTH = "train.learning_rate", "train.weight_decay", "model.projection.width"
KIND, RANK, DROPOUT = "model.fusion.kind", "model.fusion.lmf.rank", "model.fusion.dropout"
MODE, WEIGHT, MARGIN = (
    f"loss.alignment.text_audio.{name}" for name in ("mode", "weight", "margin")
)
HEADS = "model.fusion.width"

NUMBERS: dict[str, Domain] = {
    RATE: LogUniform(1e-4, 1e-1),
    DECAY: Uniform(0, 0.5),
    WIDTH: Int(8, 64, 8),
}
MIXED: dict[str, Domain] = {
    # A field before the choice that switches it on, as a study may have it.
    WEIGHT: LogUniform(1e-2, 1e2),
    DROPOUT: Uniform(0, 0.9, 0.1, when=parse_condition(Config, {KIND: ["concat", "sum"]})),
    KIND: Choice(("concat", "sum", "lmf")),
    MARGIN: Uniform(0.1, 0.5),
    RANK: Int(1, 64, log=True),
    MODE: Choice(("off", "shared", "private")),
    HEADS: Int(8, 32, 8, when=parse_condition(Config, f"{WIDTH} >= 24 and {KIND} != lmf")),
    WIDTH: Int(8, 32, 8),
}
FINITE: dict[str, Domain] = {
    path: domain for path, domain in MIXED.items() if path not in (WEIGHT, MARGIN)
}
SPACES = {"numbers": NUMBERS, "mixed": MIXED}


def make_arm(
    space: Mapping[str, Domain], *constraints: object, start: Sequence[Mapping[str, Value]] = ()
) -> PlannedArm:
    return PlannedArm(
        name="arm",
        changes={},
        config=Config(),
        space=space,
        constraints=tuple(parse_condition(Config, raw) for raw in constraints),
        start=tuple(start),
        key="arm",
    )


def make(arm: PlannedArm, sampler: str, two: bool = False, **more: object) -> Proposals:
    return Proposals(
        CORE,
        arm,
        Objective(metric="mae", second="parameters" if two else ""),
        sampler=sampler,
        seed=3,
        generation=GENERATION,
        **more,  # type: ignore[arg-type]
    )


def result(number: int, params: Params) -> list[CellRecord]:
    """A made-up end: every seventh failed, every fifth was stopped early."""
    status = "failed" if number % 7 == 6 else "pruned" if number % 5 == 4 else "complete"
    rate, decay = (float(params.get(path, 0.01)) for path in (RATE, DECAY))
    value = abs(math.log10(rate) + 2) + decay + len(params) / 10
    return [
        CellRecord(
            key=str(number),
            arm="arm",
            arm_key="arm",
            phase="tune",
            candidate=number,
            seed=0,
            params=params,
            config={},
            status=status,
            epochs=1,
            best_epoch=1,
            metrics={"valid.mae": value, "parameters": float(params.get(WIDTH, 32))},
            curve={"valid.mae": [value + 1, value]},
        )
    ]


def run(proposals: Proposals, known: Mapping[int, Params], count: int) -> list[Params]:
    """Go on to so many candidates from those of a ledger, some of which may be missing."""
    candidates: list[Params] = []
    told = 0
    while len(candidates) < count:
        number = len(candidates)
        first_open = number // GENERATION * GENERATION if proposals.sampler in LEARNING else 0
        for earlier in range(told, first_open):
            proposals.tell(earlier, result(earlier, candidates[earlier]), 1)
        told = max(told, first_open)
        if number in known:
            proposals.restore_candidate(known[number])
            candidates.append(known[number])
        elif (asked := proposals.ask()) is not None:
            candidates.append(asked)
        else:
            break
    return candidates


def identity(params: Params) -> tuple[tuple[str, Value], ...]:
    return tuple(sorted(params.items()))


def check_fields(arm: PlannedArm, candidates: Sequence[Params]) -> None:
    """Every candidate has the fields that mean something in it, and no others."""
    for params in candidates:
        config = replace(arm.config, params)
        for path, domain in arm.space.items():
            wanted = is_active(config, path) and (not domain.when or domain.when.holds(config))
            assert (path in params) == wanted, (path, params)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize(
    ("sampler", "two"),
    [
        # GP thinks for a second once it has seen ten values.
        pytest.param(sampler, two, marks=[pytest.mark.slow] if sampler == "gp" and two else [])
        for sampler in SAMPLERS
        for two in (False, True)
        if sampler != "grid" and (not two or sampler in TWO_OBJECTIVES)
    ],
)
def test_an_interruption_changes_no_candidate(sampler: str, two: bool, space: str) -> None:
    start = [{RATE: 0.01}] if space == "numbers" else [{KIND: "lmf"}, {KIND: "sum", DROPOUT: 0.3}]
    arm = make_arm(SPACES[space], f"{RATE} < 0.05 or {KIND} == sum", start=start)
    stops: Sequence[tuple[int, Sequence[int]]] = ((1, ()), (3, (1,)), (13, (10, 12)), (20, ()))
    count = 24
    if sampler == "gp":
        count, stops = 17, ((3, (1,)), (16, (11,)))
    whole = run(make(arm, sampler, two), {}, count)
    assert len({identity(params) for params in whole}) == count
    check_fields(arm, whole)
    for stop, lost in stops:
        known = {number: whole[number] for number in range(stop) if number not in lost}
        again = make(arm, sampler, two, taken=known.values())
        assert run(again, known, count) == whole, (stop, lost)


@pytest.mark.parametrize("stop", [1, 7, 30])
def test_a_grid_goes_on_where_it_was(stop: int) -> None:
    arm = make_arm(FINITE, start=[{KIND: "lmf", WIDTH: 16}])
    whole = run(make(arm, "grid"), {}, 40)
    known = {number: whole[number] for number in range(stop) if number != 3}
    assert run(make(arm, "grid", taken=known.values()), known, 40) == whole


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_candidate_satisfies_the_constraints_however_rare(sampler: str) -> None:
    space = {**FINITE, WIDTH: Int(1, 64)}
    # About one random candidate in 80.
    arm = make_arm(space, f"{WIDTH} in [3]", {KIND: ["sum", "lmf"]})
    count = 12 if sampler == "gp" else 20
    candidates = run(make(arm, sampler), {}, count)
    assert len({identity(params) for params in candidates}) == count
    for params in candidates:
        config = replace(arm.config, params)
        assert all(condition.holds(config) for condition in arm.constraints)
    check_fields(arm, candidates)


def test_rejected_proposals_are_told_why() -> None:
    arm = make_arm(NUMBERS, f"{RATE} < 0.0005")
    proposals = make(arm, "tpe")
    run(proposals, {}, 5)
    failed = [t for t in proposals.optuna_study.trials if t.state == TrialState.FAIL]
    assert failed
    assert all(trial.user_attrs == {"violates": f"{RATE} < 0.0005"} for trial in failed)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_starting_points_come_first_and_once(sampler: str) -> None:
    start: list[dict[str, Value]] = [
        {KIND: "lmf", RANK: 4, WIDTH: 16, MODE: "off"},
        # The same: without lmf's rank, and dropout has no `when` that holds.
        {KIND: "lmf", RANK: 4, WIDTH: 16, MODE: "off", DROPOUT: 0.3},
        {KIND: "sum", DROPOUT: 0.3, RANK: 4},
    ]
    arm = make_arm(FINITE, start=start)
    candidates = run(make(arm, sampler), {}, 6)
    assert candidates[0] == start[0]
    assert candidates[1][KIND] == "sum"
    assert candidates[1][DROPOUT] == 0.3
    assert RANK not in candidates[1]
    assert WIDTH in candidates[1]
    assert len({identity(params) for params in candidates}) == 6
    check_fields(arm, candidates)


def test_a_grid_covers_everything_once() -> None:
    arm = make_arm(FINITE, f"{RANK} <= 16 or {KIND} != lmf", f"{WIDTH} != 8")
    proposals = make(arm, "grid")
    candidates = run(proposals, {}, 10_000)
    assert proposals.ask() is None
    check_fields(arm, candidates)
    modes, widths, heads, dropouts, ranks = 3, 3, 4, 10, 16
    with_heads = 2 * dropouts * modes * (2 * heads + 1)  # at two of the widths
    assert len(candidates) == with_heads + ranks * modes * widths
    assert len({identity(params) for params in candidates}) == len(candidates)
    assert len(candidates) == grid_size(CORE, arm.config, arm.space, arm.constraints)


def test_a_grid_is_in_no_order_and_the_seed_alone_decides_it() -> None:
    few, many = (run(make(make_arm(FINITE), "grid"), {}, count) for count in (10, 50))
    assert many[:10] == few
    assert len({params[KIND] for params in few}) > 1


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name != "grid"])
def test_a_finite_space_is_used_up_to_its_last_candidate(sampler: str) -> None:
    space = {KIND: Choice(("sum", "lmf")), RANK: Int(1, 4), DECAY: Uniform(0, 0.3, 0.1)}
    candidates = run(make(make_arm(space), sampler), {}, 100)
    assert len({identity(params) for params in candidates}) == len(candidates) == 4 + 4 * 4
    # As a person writes them.
    assert {params[DECAY] for params in candidates} == {0.0, 0.1, 0.2, 0.3}


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc"])
def test_an_infinite_space_is_never_used_up_by_repeats(sampler: str) -> None:
    when = parse_condition(Config, f"{WIDTH} == 64")
    arm = make_arm({WIDTH: Int(1, 64), DECAY: Uniform(0, 0.5, when=when)})
    candidates = run(make(arm, sampler), {}, 90)
    assert len({identity(params) for params in candidates}) == 90
    check_fields(arm, candidates)


def test_a_sequence_fills_the_space_evenly() -> None:
    candidates = run(make(make_arm(NUMBERS), "qmc"), {}, 32)
    for part in range(8):
        decays = [params for params in candidates if part / 16 <= params[DECAY] < (part + 1) / 16]
        assert len(decays) == 4
    assert [params[WIDTH] for params in candidates].count(8) == 4


@pytest.mark.parametrize("sampler", TWO_OBJECTIVES)
def test_two_objectives_are_told_or_neither(sampler: str) -> None:
    proposals = make(make_arm(MIXED if sampler != "grid" else FINITE), sampler, two=True)
    params = [proposals.ask() or {} for _ in range(8)]
    for number in range(7):
        proposals.tell(number, result(number, params[number]), 1)
    (lacking,) = result(0, params[7])
    metrics = {"valid.mae": lacking.metrics["valid.mae"]}
    proposals.tell(7, [CellRecord(**{**as_dict(lacking), "metrics": metrics})], 1)
    trials = [t for t in proposals.optuna_study.trials if not t.user_attrs]
    assert trials[0].values == list(result(0, params[0])[0].metrics.values())
    states = [trial.state for trial in trials]
    assert states[4] == TrialState.PRUNED
    assert states[6] == states[7] == TrialState.FAIL


def as_dict(record: CellRecord) -> dict[str, object]:
    return {name: getattr(record, name) for name in CellRecord.__dataclass_fields__}


@pytest.mark.parametrize(
    "sampler", [pytest.param(name, marks=[pytest.mark.slow] * (name == "gp")) for name in LEARNING]
)
def test_a_sampler_that_learns_comes_closer_than_chance(sampler: str) -> None:
    def last(sampler: str) -> float:
        candidates = run(make(make_arm(NUMBERS), sampler), {}, 60)[-20:]
        return sum(result(0, params)[0].metrics["valid.mae"] for params in candidates) / 20

    assert last(sampler) < 0.9 * last("random")
