"""The candidates that an arm can have: which fields each has, and all of a finite space."""

import functools
import itertools
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from spaces.core import Core
from spaces.fields.declaration import ConfigError, Value
from spaces.fields.paths import fields_of, replace, value_at
from spaces.search_space.domains import Choice, Domain, size_of, value_at_share, values_of
from spaces.syntax.constraints import Condition

Params = Mapping[str, Value]
MOST_POINTS = 100_000  # a larger grid is refused


class ArmSpace:
    """The searched fields of an arm, and which of them a candidate has.

    A field is searched where it means something and its own `when` holds. What means something
    depends on switches (words, and true or false) alone, never on a number.
    """

    def __init__(
        self,
        core: Core,
        config: Any,
        space: Mapping[str, Domain],
        constraints: Sequence[Condition] = (),
        taken_to_hold: frozenset[str] = frozenset(),
    ) -> None:
        """Create the space of an arm.

        Args:
            core: Core of the study.
            config: Configuration of the arm; what is not picked has its value there.
            space: Field -> domain of the searched fields.
            constraints: Conditions that every candidate must satisfy.
            taken_to_hold: Searched fields whose `when` is taken to hold.

        Raises:
            ConfigError: Fields whose `when`s wait for one another.
        """
        self.core = core
        self.config = config
        self.space = space
        self.constraints = tuple(constraints)
        self.order = pick_order(space)
        self._taken_to_hold = taken_to_hold
        whens = [domain.when for domain in space.values() if domain.when]
        self._unpicked = {
            path: value_at(config, path)
            for condition in (*whens, *self.constraints)
            for path in condition.paths
        }
        self._switches = [path for path in self.order if is_switch(core.config_class, path)]
        self._active: dict[tuple[Value | None, ...], tuple[Any, dict[str, bool]]] = {}

    def settle_candidate(self, pick: Callable[[str], Value]) -> dict[str, Value]:
        """Pick a candidate: values for the fields that are searched in it, and for no others.

        Args:
            pick: Function from a field to its value. It is called in order, once per field, and
                only if the field is searched as far as is known by then.
        """
        picked: dict[str, Value] = {}
        params: dict[str, Value] = {}
        # A field that is picked can switch others on and off, so all are gone through until nothing
        # changes. The bound ends the switching of two fields that switch each other off.
        for _ in range(2 * len(self.order) + 1):
            before = list(params)
            for path in self.order:
                if path not in params and self._is_searched(path, params):
                    if path not in picked:
                        picked[path] = pick(path)
                    params[path] = picked[path]
            # What was picked later can switch off what was picked earlier.
            params = {p: value for p, value in params.items() if self._is_searched(p, params)}
            if list(params) == before:
                break
        return params

    def draw_candidate(self, draw: random.Random) -> dict[str, Value]:
        """Draw a candidate at random; it need not satisfy the constraints."""
        return self.settle_candidate(lambda path: value_at_share(self.space[path], draw.random()))

    def is_read(self, path: str) -> bool:
        """Check whether a `when` or a constraint reads a field."""
        return path in self._unpicked

    def violated_constraint(self, params: Params) -> Condition | None:
        """Return the first constraint that a candidate does not satisfy, if any."""
        if not self.constraints:
            return None
        values = {**self._unpicked, **params}
        return next((held for held in self.constraints if not held.holds_for(values)), None)

    def _is_searched(self, path: str, params: Params) -> bool:
        when = self.space[path].when
        looked_at = when is not None and path not in self._taken_to_hold
        if when and looked_at and not when.holds_for({**self._unpicked, **params}):
            return False
        return self._means_something(path, params)

    def _means_something(self, path: str, params: Params) -> bool:
        # Kept by the values of the switches, as a number never decides what means something: a
        # search of thousands of candidates has few such combinations.
        switched = tuple(params.get(switch) for switch in self._switches)
        if switched not in self._active:
            switches = {switch: params[switch] for switch in self._switches if switch in params}
            self._active[switched] = (replace(self.config, switches), {})
        config, known = self._active[switched]
        if path not in known:
            known[path] = self.core.is_active(config, path)
        return known[path]


def is_switch(config_class: type, path: str) -> bool:
    """Check whether a field's value can decide whether others mean anything."""
    return fields_of(config_class)[path][1] in (bool, str)


def pick_order(space: Mapping[str, Domain]) -> tuple[str, ...]:
    """Sort the searched fields as they are picked: choices first, each after what its `when` reads.

    Raises:
        ConfigError: Fields whose `when`s wait for one another.
    """
    waiting = sorted(space, key=lambda path: not isinstance(space[path], Choice))
    order: list[str] = []
    while waiting:
        for path in waiting:
            when = space[path].when
            if when is None or not any(read in waiting for read in when.paths):
                order.append(path)
                waiting.remove(path)
                break
        else:
            raise ConfigError(
                f"the 'when' of {' and '.join(repr(path) for path in waiting)} wait for one "
                "another; remove one of them"
            )
    return tuple(order)


def grid_size(
    core: Core, config: Any, space: Mapping[str, Domain], constraints: Sequence[Condition] = ()
) -> int:
    """Return how many candidates an arm can have at all.

    Raises:
        ConfigError: Infinitely many, or more than `MOST_POINTS`.
    """
    return sum(
        count
        for _, _, count in _grid_blocks(core, config, tuple(space.items()), tuple(constraints))
    )


def grid_points(
    core: Core,
    config: Any,
    space: Mapping[str, Domain],
    constraints: Sequence[Condition],
    seed: int,
) -> Iterator[dict[str, Value]]:
    """Yield every candidate that an arm can have, once, in an order that the seed alone decides.

    Raises:
        ConfigError: See `grid_size`.
    """
    # The order must not depend on the budget: a larger one then only adds points.
    blocks = _grid_blocks(core, config, tuple(space.items()), tuple(constraints))
    starts = [0, *itertools.accumulate(count for _, _, count in blocks)]
    positions = list(range(starts[-1]))
    random.Random(f"{seed}/grid").shuffle(positions)
    for position in positions:
        block = next(number for number, end in enumerate(starts[1:]) if position < end)
        yield _nth_point(space, blocks[block], position - starts[block])


# Values picked of the fields that decide; the other fields that are searched with them; number of
# points, the product of the sizes of these.
_Block = tuple[dict[str, Value], tuple[str, ...], int]


@functools.lru_cache(maxsize=1024)
def _grid_blocks(
    core: Core,
    config: Any,
    space: tuple[tuple[str, Domain], ...],
    constraints: tuple[Condition, ...],
) -> tuple[_Block, ...]:
    """Return the grid in blocks of points that agree in all that decides about other fields."""
    # Points are counted and not listed: a study can have a hundred arms of 100,000 points.
    domains = dict(space)
    for path, domain in domains.items():
        if size_of(domain) is None:
            raise ConfigError(
                f"a grid needs a number of values for '{path}'; give its domain a 'step', or a "
                "'choice' of values"
            )
    arm = ArmSpace(core, config, domains, constraints)
    deciding = [
        path for path in arm.order if is_switch(core.config_class, path) or arm.is_read(path)
    ]
    _check_size(math.prod(size_of(domains[path]) or 0 for path in deciding))
    blocks: dict[tuple[tuple[str, Value], ...], _Block] = {}
    total = 0
    for values in itertools.product(*(values_of(domains[path]) or () for path in deciding)):
        picked = dict(zip(deciding, values, strict=True))
        params = arm.settle_candidate(lambda path, picked=picked: picked.get(path, 0))  # type: ignore[misc]
        own = {path: value for path, value in params.items() if path in picked}
        name = tuple(own.items())
        if name in blocks or arm.violated_constraint(own):
            continue
        others = tuple(path for path in params if path not in picked)
        count = math.prod(size_of(domains[path]) or 0 for path in others)
        blocks[name] = (own, others, count)
        total += count
        _check_size(total)
    return tuple(blocks.values())


def _check_size(points: int) -> None:
    if points > MOST_POINTS:
        raise ConfigError(
            f"the grid has more than {MOST_POINTS:,} points; use larger steps or another sampler"
        )


def _nth_point(space: Mapping[str, Domain], block: _Block, position: int) -> dict[str, Value]:
    picked, others, _ = block
    point = dict(picked)
    for path in others:
        values = values_of(space[path])
        assert values is not None
        # The position is read as a number whose digits are the positions within the domains.
        position, own = divmod(position, len(values))
        point[path] = values[own]
    return point
