"""Method 4, anchored contrast (CLFA, 2024), as a module: what it is anchored to.

Shapes: B utterances, T frames, F features a frame, D = width.
"""

import math

import pytest
import torch

from msa_core.modules.contrast.contrasts import mean_frame
from msa_core.modules.parts.similarity import info_nce

SEED = 4  # of `draw`

NAMES = ("text", "audio")


def doubles(*values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.fixture
def build(contrasting, sized):
    """An anchor whose projections towards the anchors change nothing."""

    def build(width, **options):
        anchor = contrasting("anchor", sized(width, modalities=NAMES), **options)
        identity = {
            name: torch.eye(width, dtype=torch.float64) if name.endswith("weight") else
            torch.zeros(width, dtype=torch.float64)
            for name in anchor.parameters
        }  # fmt: skip
        anchor.load(identity)
        return anchor

    return build


def test_identical_rows_give_the_logarithm_of_their_number(build, seeing, draw):
    rows = dict.fromkeys(NAMES, draw(1, 5).expand(8, 5))
    for anchor in ("text", "own"):
        found = build(5, anchor=anchor)(seeing(rows)).item()
        assert found == pytest.approx(math.log(8), abs=1e-12)


@pytest.mark.parametrize(("temperature", "known"), [(1.0, 0.313262), (0.1, 4.54e-5)])
def test_modalities_on_orthonormal_anchors_give_the_known_value(build, seeing, temperature, known):
    rows = dict.fromkeys(NAMES, torch.eye(2, 3, dtype=torch.float64))
    found = build(3)(seeing(rows), temperature=temperature).item()
    assert found == pytest.approx(known, rel=1e-4)


def test_every_modality_follows_the_text_or_its_own_features(build, seeing, draw):
    rows = {name: draw(6, 4) for name in NAMES}
    features = {name: draw(6, 4) for name in NAMES}
    seen = seeing(rows, features=features)
    for option, anchors in (("text", ("text", "text")), ("own", NAMES)):
        terms = [
            info_nce(rows[name], features[anchor], 0.1)
            for name, anchor in zip(NAMES, anchors, strict=True)
        ]
        found = build(4, anchor=option)(seen).item()
        assert found == pytest.approx((sum(terms) / 2).item())


def test_the_anchor_is_the_mean_of_the_valid_frames(seeing):
    frames = doubles([[1.0, 0.0], [3.0, 2.0], [9.0, 9.0]], [[4.0, 4.0], [9.0, 9.0], [9.0, 9.0]],
                     [[9.0, 9.0], [9.0, 9.0], [9.0, 9.0]])  # fmt: skip
    rows = {"text": torch.zeros(3, 2, dtype=torch.float64)}
    seen = seeing(rows, features={"text": frames}, lengths={"text": torch.tensor([2, 1, 0])})
    assert mean_frame(seen, "text").tolist() == [[2.0, 1.0], [4.0, 4.0], [0.0, 0.0]]


def test_frames_and_their_means_are_one_anchor(build, seeing, draw):
    rows, frames = {name: draw(5, 4) for name in NAMES}, draw(5, 3, 4)
    whole = {"text": torch.full((5,), 3)}
    of_frames = seeing(rows, features={"text": frames}, lengths=whole)
    of_means = seeing(rows, features={"text": frames.mean(dim=1)})
    anchor = build(4)
    assert anchor(of_frames).item() == pytest.approx(anchor(of_means).item())


def test_false_negatives_equal_labels_push_each_other_away(build, seeing):
    """Each of three twins sits on its anchor; ln 2 is left, whatever the labels."""
    twins = torch.eye(3, dtype=torch.float64).repeat_interleave(2, dim=0)
    seen = seeing(dict.fromkeys(NAMES, twins), labels=doubles(1, 1, 2, 2, 3, 3))
    assert build(3)(seen, temperature=0.01).item() == pytest.approx(math.log(2), abs=1e-12)
