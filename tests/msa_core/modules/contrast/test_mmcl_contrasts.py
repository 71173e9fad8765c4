"""Method 8, unimodal and cross-modal contrast (MMCL, reconstructed), as modules.

Shapes: B utterances, T frames, F features a frame, D = width.
"""

import math

import pytest
import torch

from msa_core.config.fields import MODALITIES
from msa_core.modules.contrast.contrasts import sentiment_bins
from msa_core.modules.parts.similarity import info_nce, supervised_contrast

SEED = 8  # of `draw`

EYE = torch.eye(2, 3, dtype=torch.float64)


# (a) Views.


class Watch:
    """An encoder that keeps what it was given, and gives it on."""

    def __init__(self):
        self.given = {name: [] for name in MODALITIES}

    def __call__(self, name, features):
        self.given[name].append(features)
        return features if features.dim() == 2 else features.sum(dim=1)


def test_strength_0_makes_the_views_identical_and_gives_the_values_of_section_4(
    contrasting, sized, seeing
):
    watch = Watch()
    views = contrasting("views", sized(3), rows=2, dropped=0.0, noise=0.0)
    for temperature, known in ((1.0, 0.313262), (0.1, 4.54e-5)):
        seen = seeing(dict.fromkeys(MODALITIES, EYE), encode=watch)
        assert views(seen, temperature=temperature).item() == pytest.approx(known, rel=1e-4)
    for first, second in (watch.given["audio"][:2], watch.given["vision"][:2]):
        assert torch.equal(first, EYE)
        assert torch.equal(first, second)


def test_views_are_made_of_audio_and_vision_each_with_numbers_of_its_own(
    contrasting, sized, seeing, draw
):
    watch, rows = Watch(), draw(400, 5)
    views = contrasting("views", sized(5), rows=400, dropped=0.3, noise=0.5)
    views(seeing(dict.fromkeys(MODALITIES, rows), encode=watch))
    assert watch.given["text"] == []
    made = [*watch.given["audio"], *watch.given["vision"]]
    assert len(made) == 4
    for place, first in enumerate(made):
        for second in made[:place]:
            assert not torch.equal(first, second)


def test_a_view_lacks_the_share_of_features_that_was_asked_for_and_scales_the_others(
    contrasting, sized, seeing
):
    watch, ones = Watch(), torch.ones(400, 5, dtype=torch.float64)
    views = contrasting("views", sized(5), rows=400, dropped=0.3, noise=0.0)
    views(seeing(dict.fromkeys(MODALITIES, ones), encode=watch))
    for view in (*watch.given["audio"], *watch.given["vision"]):
        assert view.unique().tolist() == [0.0, pytest.approx(1 / 0.7)]
        # A binomial share of 2,000 features scatters by .01.
        assert (view == 0).double().mean().item() == pytest.approx(0.3, abs=0.04)


def test_the_noise_of_a_view_has_the_deviation_that_was_asked_for(contrasting, sized, seeing):
    watch, zeros = Watch(), torch.zeros(400, 5, dtype=torch.float64)
    views = contrasting("views", sized(5), rows=400, dropped=0.0, noise=0.5)
    views(seeing(dict.fromkeys(MODALITIES, zeros), encode=watch))
    for view in (*watch.given["audio"], *watch.given["vision"]):
        assert view.std().item() == pytest.approx(0.5, rel=0.08)
        assert view.mean().item() == pytest.approx(0.0, abs=0.06)


def test_padding_stays_padding_and_all_frames_have_one_view(contrasting, sized, seeing, draw):
    watch, lengths = Watch(), torch.tensor([3, 1, 0, 2])
    frames = draw(4, 3, 5) * (torch.arange(3) < lengths[:, None])[:, :, None]
    seen = seeing(
        {"audio": draw(4, 5)},
        features={"audio": frames},
        lengths={"audio": lengths},
        encode=watch,
    )
    contrasting("views", sized(5, modalities=["audio"]), rows=4, dropped=0.3, noise=0.5)(seen)
    for view in watch.given["audio"]:
        assert not view[torch.arange(3) >= lengths[:, None]].any()
        # Where a feature is left out, only the noise is there: the same in every frame.
        moved = view[0] - frames[0] / 0.7
        alone = view[0]
        constant = [torch.allclose(one, one[:1]) for one in (*moved.T, *alone.T)]
        assert sum(constant) == 5


# (b) Instances.


def as_identity(contrast, width, turn):
    """Every predictor's layers are so that it turns its source: relu(x) - relu(-x) = x."""
    identity = torch.eye(width, dtype=torch.float64)
    for name in contrast.parameters:
        if name.endswith("hidden.weight"):
            contrast.load({name: torch.cat([identity, -identity])})
        elif name.endswith("output.weight"):
            contrast.load({name: torch.cat([turn, -turn], dim=1)})
        else:
            contrast.load({name: torch.zeros_like(contrast.tensors[name]).detach()})


def test_perfect_predictions_give_the_value_of_section_4(contrasting, sized, seeing, draw):
    """Audio is text, turned by a quarter twice: back is forth."""
    width = 4
    swap = torch.eye(width, dtype=torch.float64)[[2, 3, 0, 1]]
    text = torch.eye(2, width, dtype=torch.float64)
    rows = {"text": text, "audio": text @ swap}
    for stop in (True, False):
        instance = contrasting(
            "instance", sized(width, modalities=["text", "audio"]), width=2 * width,
            stop_gradient=stop,
        )  # fmt: skip
        as_identity(instance, width, swap)
        assert instance(seeing(rows), temperature=1.0).item() == pytest.approx(0.313262, abs=5e-7)


def test_there_is_a_predictor_for_every_ordered_pair(contrasting, sized):
    instance = contrasting("instance", sized(4))
    heads = {name.split(".")[1] for name in instance.parameters}
    assert heads == {f"{q}_from_{p}" for p in MODALITIES for q in MODALITIES if p != q}


@pytest.mark.parametrize("stop", [True, False])
def test_a_target_stays_where_it_is_if_the_gradient_stops(contrasting, sized, seeing, draw, stop):
    rows = {name: draw(6, 4).requires_grad_() for name in ("text", "audio")}
    instance = contrasting("instance", sized(4, modalities=["text", "audio"]), stop_gradient=stop)
    # Audio predicts a constant, so that it moves nothing as a source.
    instance.load({
        name: torch.zeros_like(instance.tensors[name]).detach()
        for name in instance.parameters
        if "text_from_audio" in name and "output.bias" not in name
    })  # fmt: skip
    (slope,) = torch.autograd.grad(instance(seeing(rows)), rows["audio"])
    assert bool(slope.any()) is not stop


# (c) Sentiment.


def test_seven_bins_of_a_label_whatever_its_bound():
    mosi = torch.tensor([-3.4, -3.0, -2.6, -0.5, 0.0, 0.5, 0.6, 1.5, 3.0], dtype=torch.float64)
    assert sentiment_bins(mosi, 3.0).tolist() == [-3, -3, -3, 0, 0, 0, 1, 2, 3]
    sims = torch.tensor([-1.0, -0.6, -0.2, 0.0, 0.2, 0.4, 1.0], dtype=torch.float64)
    assert sentiment_bins(sims, 1.0).tolist() == [-3, -2, -1, 0, 1, 1, 3]


def test_equal_rows_give_the_logarithm_of_all_rows_less_1(contrasting, sized, seeing, draw):
    rows = dict.fromkeys(MODALITIES, draw(1, 4).expand(5, 4))
    seen = seeing(rows, labels=draw(5))
    found = contrasting("sentiment", sized(4))(seen).item()
    assert found == pytest.approx(math.log(3 * 5 - 1), abs=1e-12)


def test_partners_are_of_one_bin_in_whatever_modality(contrasting, sized, seeing, draw):
    rows = {name: draw(5, 4) for name in MODALITIES}
    labels = torch.tensor([0.1, -0.2, 2.0, 1.8, -3.0], dtype=torch.float64)
    found = contrasting("sentiment", sized(4))(seeing(rows, labels=labels)).item()
    bins = torch.tensor([0, 0, 2, 2, -3]).repeat(3)
    expected = supervised_contrast(torch.cat(list(rows.values())), bins, 0.1).item()
    assert found == pytest.approx(expected)
    of_sims = contrasting("sentiment", sized(4, bound=1.0))(seeing(rows, labels=labels / 3))
    assert of_sims.item() == pytest.approx(expected)


def test_views_are_told_apart_as_by_info_nce(contrasting, sized, seeing, draw):
    rows, watch = {"audio": draw(6, 4)}, Watch()
    views = contrasting("views", sized(4, modalities=["audio"]), rows=6)
    found = views(seeing(rows, encode=watch)).item()
    assert found == pytest.approx(info_nce(*watch.given["audio"], 0.1).item())
