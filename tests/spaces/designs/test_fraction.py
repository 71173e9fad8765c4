"""Fractions of the factorial are as small as is known, and have the resolution that they claim."""

import itertools
import time

import numpy as np
import pytest

from msa_core.config.schema import Config
from spaces.designs.fraction import fraction_generators
from spaces.designs.make_arms import Component, Part, fractional
from spaces.fields.declaration import ConfigError


def parts(number: int) -> list[Component]:
    nothing = Part(name="", changes={})
    return [
        Component(
            name=chr(ord("a") + place),
            on=Part(name="", changes={"train.epochs": 2}),
            off=nothing,
        )
        for place in range(number)
    ]


def matrix(number: int, resolution: int) -> "np.ndarray[tuple[int, int], np.dtype[np.int64]]":
    """A row per arm, +1 where a component is on and -1 where it is off."""
    named = [arm.name.split(" + ") for arm in fractional(Config, parts(number), resolution)]
    names = [part.name for part in parts(number)]
    return np.array([[1 if name in on else -1 for name in names] for on in named])


# Factors, resolution -> runs, as in Box, Hunter & Hunter's table of two-level fractions.
KNOWN = {
    (3, 3): 4, (5, 3): 8, (6, 3): 8, (7, 3): 8, (9, 3): 16, (11, 3): 16, (15, 3): 16,
    (4, 4): 8, (6, 4): 16, (7, 4): 16, (8, 4): 16, (9, 4): 32, (16, 4): 32,
    (5, 5): 16, (6, 5): 32, (7, 5): 64, (8, 5): 64, (6, 6): 32, (7, 6): 64, (7, 7): 64,
}  # fmt: skip


@pytest.mark.parametrize(("number", "resolution"), KNOWN)
def test_a_fraction_is_small_and_keeps_its_resolution(number: int, resolution: int) -> None:
    """No product of fewer columns than the resolution is constant, or has a mean at all.

    So main effects are orthogonal (III), and to two-way interactions (IV), and these to each
    other (V).
    """
    signs = matrix(number, resolution)
    assert signs.shape == (KNOWN[number, resolution], number)
    for size in range(1, resolution):
        for columns in itertools.combinations(range(number), size):
            assert signs[:, list(columns)].prod(axis=1).sum() == 0
    assert len({tuple(row) for row in signs}) == len(signs)


def test_what_the_resolutions_mean_is_orthogonality() -> None:
    """The same said in the words of the literature, for one of each."""
    for number, resolution in ((7, 3), (8, 4), (5, 5)):
        main = matrix(number, resolution)
        two_way = np.stack(
            [main[:, i] * main[:, j] for i, j in itertools.combinations(range(number), 2)], axis=1
        )
        runs = len(main)
        assert (main.T @ main == runs * np.eye(number)).all()
        assert (not (main.T @ two_way).any()) is (resolution >= 4)
        of_two_way = two_way.T @ two_way == runs * np.eye(two_way.shape[1])
        assert of_two_way.all() == (resolution >= 5)


@pytest.mark.parametrize(("number", "resolution"), KNOWN)
def test_the_empty_subset_is_the_reference_of_every_fraction(number: int, resolution: int) -> None:
    arms = fractional(Config, parts(number), resolution, "nothing")
    assert (arms[0].name, arms[0].reference, arms[0].changes) == ("nothing", True, {})
    assert [arm.name for arm in arms if arm.reference] == ["nothing"]


@pytest.mark.parametrize("resolution", [2, 6, -1, 10**9])
def test_a_resolution_that_cannot_be_is_refused(resolution: int) -> None:
    with pytest.raises(ConfigError, match="`3 <= resolution <= components` must hold, but got"):
        fractional(Config, parts(5), resolution)


@pytest.mark.parametrize("resolution", [3, 4, 5, 6, 7])
def test_columns_are_found_in_time_for_any_number_of_components(resolution: int) -> None:
    started = time.process_time()
    for number in (25, 50, 100):
        columns = fraction_generators(number, resolution)
        assert len(set(columns)) == number
    assert time.process_time() - started < 2
