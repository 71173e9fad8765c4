"""Method 2, holistic evaluation (HEMM, 2024): every answer known in advance."""

import numpy as np
import pytest

from msa_core.analysis.slices import slice_table, strength_tags


def test_slices_weighted_by_their_n_give_the_error_of_the_whole_set():
    rng = np.random.default_rng(0)
    labels = rng.uniform(-3, 3, 200)
    predictions = labels + rng.normal(0, 1, (3, 200))
    scores = slice_table(
        "mosi",
        predictions,
        labels,
        {"strength": strength_tags(labels, "mosi")},
        rng=rng,
        draws=10,
    )
    errors = [score for score in scores if score.metric == "mae"]
    whole, parts = errors[0], errors[1:]
    assert [part.tag for part in parts] == ["medium", "neutral", "strong", "weak"]
    assert sum(part.utterances for part in parts) == whole.utterances == 200
    weighted = sum(part.utterances * part.score for part in parts) / 200
    assert weighted == pytest.approx(whole.score, abs=1e-12)
    assert whole.score == pytest.approx(np.abs(predictions - labels).mean(), abs=1e-12)
