"""How many epochs a training has about, before it was trained."""

import pytest

from msa_core.config.schema import Config
from msa_core.training.expected_epochs import expected_epochs, stops_early
from spaces.fields.paths import replace


@pytest.mark.parametrize(
    ("epochs", "patience", "best", "expected"),
    [
        (30, 6, 0, 12),  # twice the patience
        (30, 6, 3, 12),
        (30, 6, 9, 15.5),  # its patience from its best epoch on, and a little
        (30, 6, 28, 30),
        (10, 6, 0, 10),
    ],
)
def test_it_trains_about_twice_its_patience_and_longer_where_it_improves(
    epochs, patience, best, expected
):
    config = replace(Config(), {"train.epochs": epochs, "train.patience": patience})
    assert stops_early(config)
    assert expected_epochs(config, best) == expected


def test_a_procedure_that_keeps_the_last_epoch_trains_all():
    stream = replace(Config(), {"procedure.kind": "stream", "train.epochs": 30})
    assert not stops_early(stream)
    assert expected_epochs(stream) == expected_epochs(stream, 3) == 30
