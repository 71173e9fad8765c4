"""How long a run will still take, from what its cells took and its in-flight packs."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from search.schedule.in_flight import InFlightPack
from search.screen.tally import ArmTally, Pace
from spaces.plan.plan import Phase

# Share of the workers' time that surely goes into training: less is measured only at the start of a
# run, while workers are starting, and would make the forecast many times too long.
LEAST_SHARE = 0.2
# A cell that trains more epochs than others did may end at any moment, but is not finished.
NEARLY_DONE = 0.95


def cells_behind(flight: InFlightPack, arm: ArmTally) -> float:
    """Return how much training the unfinished cells of a flight have behind them, in cells."""
    # Epochs that cells of the arm really took: early stopping ends most before the last one.
    whole = arm.paces[flight.pack.phase].epochs_per_cell or flight.most_epochs
    if not whole:
        return 0.0
    epochs = flight.epochs
    return sum(min(epochs.get(key, 0) / whole, NEARLY_DONE) for key in _unfinished_keys(flight))


def seconds_left(
    arms: Mapping[str, ArmTally], flights: Sequence[InFlightPack], workers: int, share: float | None
) -> float | None:
    """Estimate the wall seconds until the study is finished; None until something is known.

    Args:
        arms: Arm key -> its counters.
        flights: In-flight packs.
        workers: Number of packs trained at once.
        share: Share of the workers' time that goes into training, 0 to 1; None if unknown.
    """
    costs = _Costs(arms, flights)
    tails: list[float] = []
    for flight in flights:
        arm, phase = arms[flight.pack.arm_key], flight.pack.phase
        cost = costs.seconds_per_cell(arm, phase)
        if cost is None:
            return None
        tails.append((len(_unfinished_keys(flight)) - cells_behind(flight, arm)) * cost)
    in_flight: Counter[tuple[str, Phase]] = Counter()
    for flight in flights:
        in_flight[flight.pack.arm_key, flight.pack.phase] += len(_unfinished_keys(flight))
    work = 0.0
    for key, arm in arms.items():
        if arm.most_seconds is None:
            tuning = arm.tune_total - arm.tune_done - in_flight[key, Phase.TUNE]
        else:
            work += _seconds_to_spend(arm, key, flights)
            tuning = 0
        confirming = arm.confirm_planned - arm.confirm_done - in_flight[key, Phase.CONFIRM]
        for phase, cells in ((Phase.TUNE, tuning), (Phase.CONFIRM, confirming)):
            cost = costs.seconds_per_cell(arm, phase) if cells > 0 else 0.0
            if cost is None:
                return None
            work += max(0, cells) * cost
    share = min(1.0, max(LEAST_SHARE, share if share is not None else 1.0))
    # One pack trains on one worker, however many there are, so the longest one is a lower bound.
    return max((work + sum(tails)) / (max(1, workers) * share), max(tails, default=0.0))


class _Costs:
    """Device-seconds per cell of any arm, from its own cells or else from those of others."""

    def __init__(self, arms: Mapping[str, ArmTally], flights: Iterable[InFlightPack]) -> None:
        self._all = {Phase.TUNE: Pace(), Phase.CONFIRM: Pace()}
        for arm in arms.values():
            for phase, pace in arm.paces.items():
                self._all[phase].add(pace)
        self._in_flight = _cost_in_flight(flights)

    def seconds_per_cell(self, arm: ArmTally, phase: Phase) -> float | None:
        """Return the seconds of a cell of an arm; None until any cell is known."""
        # The nearest kin first: the other phase of an arm trains the same model.
        other = Phase.CONFIRM if phase == Phase.TUNE else Phase.TUNE
        for pace in (arm.paces[phase], arm.paces[other], self._all[phase], self._all[other]):
            if pace.seconds_per_cell is not None:
                return pace.seconds_per_cell
        return self._in_flight


def _cost_in_flight(flights: Iterable[InFlightPack]) -> float | None:
    """Estimate the seconds of a cell from its first epochs, before any cell is finished."""
    seconds = cells = 0.0
    for flight in flights:
        if flight.most_epochs:
            seconds += flight.seconds
            cells += sum(flight.epochs.values()) / flight.most_epochs
    return seconds / cells if cells and seconds else None


def _seconds_to_spend(arm: ArmTally, key: str, flights: Iterable[InFlightPack]) -> float:
    """Return an arm's device-seconds that are neither spent nor promised to in-flight packs."""
    under_way = sum(
        flight.pack.seconds or 0.0
        for flight in flights
        if flight.pack.arm_key == key and flight.pack.phase == Phase.TUNE
    )
    assert arm.most_seconds is not None
    return max(0.0, arm.most_seconds - arm.tune_seconds - under_way)


def _unfinished_keys(flight: InFlightPack) -> list[str]:
    """Return the keys of a flight's cells that are not in the ledger."""
    return [cell.key for cell in flight.pack.cells if cell.key not in flight.finished]
