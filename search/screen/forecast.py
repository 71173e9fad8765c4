"""How long a run will still take, from what its cells took and what its workers are at."""

from collections.abc import Iterable, Mapping, Sequence

from search.schedule.in_flight import Flight
from search.screen.tally import ArmTally, Pace
from spaces.plan.plan import CONFIRM, TUNE

LEAST_SHARE = 0.2  # of their time that workers surely train: less is the start of a run
NEARLY = 0.95  # who trains longer than others did is nearly done, as far as anyone knows


def cells_behind(flight: Flight, arm: ArmTally) -> float:
    """How many cells' worth of training a flight has behind it, of its cells still training."""
    whole = arm.paces[flight.pack.phase].epochs_a_cell or flight.most_epochs
    if not whole:
        return 0.0
    epochs = flight.epochs
    return sum(min(epochs.get(key, 0) / whole, NEARLY) for key in _training(flight))


def seconds_left(
    arms: Mapping[str, ArmTally], flights: Sequence[Flight], workers: int, share: float | None
) -> float | None:
    """Wall seconds until the study is finished, about; None until something is known.

    Args:
        arms: by their keys.
        flights: the packs on workers.
        workers: packs trained at once.
        share: of the workers' time that goes into training; None if nobody knows.
    """
    costs = _Costs(arms, flights)
    tails: list[float] = []
    for flight in flights:
        arm, phase = arms[flight.pack.arm_key], flight.pack.phase
        cost = costs.of(arm, phase)
        if cost is None:
            return None
        tails.append((len(_training(flight)) - cells_behind(flight, arm)) * cost)
    flying: dict[tuple[str, str], int] = {}
    for flight in flights:
        place = (flight.pack.arm_key, flight.pack.phase)
        flying[place] = flying.get(place, 0) + len(_training(flight))
    work = 0.0
    for key, arm in arms.items():
        if arm.most_seconds is None:
            tuning = arm.tune_total - arm.tune_done - flying.get((key, TUNE), 0)
        else:
            work += _seconds_to_spend(arm, key, flights)
            tuning = 0
        confirming = arm.confirm_planned - arm.confirm_done - flying.get((key, CONFIRM), 0)
        for phase, cells in ((TUNE, tuning), (CONFIRM, confirming)):
            cost = costs.of(arm, phase) if cells > 0 else 0.0
            if cost is None:
                return None
            work += max(0, cells) * cost
    share = min(1.0, max(LEAST_SHARE, share if share is not None else 1.0))
    # One pack trains on one worker, however many there are.
    return max((work + sum(tails)) / (max(1, workers) * share), max(tails, default=0.0))


class _Costs:
    """Device-seconds of a cell of any arm, of what is known of it or else of others."""

    def __init__(self, arms: Mapping[str, ArmTally], flights: Iterable[Flight]) -> None:
        self._all = {TUNE: Pace(), CONFIRM: Pace()}
        for arm in arms.values():
            for phase, pace in arm.paces.items():
                self._all[phase].add(pace)
        self._flying = _cost_in_flight(flights)

    def of(self, arm: ArmTally, phase: str) -> float | None:
        """None until any cell is known."""
        other = CONFIRM if phase == TUNE else TUNE
        for pace in (arm.paces[phase], arm.paces[other], self._all[phase], self._all[other]):
            if pace.seconds_a_cell is not None:
                return pace.seconds_a_cell
        return self._flying


def _cost_in_flight(flights: Iterable[Flight]) -> float | None:
    """Seconds of a cell that trains all its epochs, of cells of which none is finished."""
    seconds = cells = 0.0
    for flight in flights:
        if flight.most_epochs:
            seconds += flight.seconds
            cells += sum(flight.epochs.values()) / flight.most_epochs
    return seconds / cells if cells and seconds else None


def _seconds_to_spend(arm: ArmTally, key: str, flights: Iterable[Flight]) -> float:
    """What is left of an arm's device-seconds, beside what its packs have promised to take."""
    under_way = sum(
        flight.pack.seconds or 0.0
        for flight in flights
        if flight.pack.arm_key == key and flight.pack.phase == TUNE
    )
    assert arm.most_seconds is not None
    return max(0.0, arm.most_seconds - arm.tune_seconds - under_way)


def _training(flight: Flight) -> list[str]:
    """Keys of the cells of a flight that are not in the ledger."""
    return [cell.key for cell in flight.pack.cells if cell.key not in flight.finished]
