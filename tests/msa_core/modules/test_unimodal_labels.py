"""Self-supervised unimodal labels: their state, and a slow double of the whole rule.

Shapes: N utterances of train, B of a batch, H = width of a head's hidden layer.
"""

import copy
import math

import numpy as np
import pytest
import torch

from msa_core.config.unimodal import UlgmConfig
from msa_core.modules.unimodal_labels import MULTIMODAL, LabelGenerator, fresh_labels

BOUND = 3.0


def generator_of(labels_N, widths, *options):
    return LabelGenerator(fresh_labels(labels_N, widths), *options)


def doubles(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_the_weight_of_a_row_grows_with_its_distance_from_the_multimodal_label():
    generated = generator_of(doubles(1.0, 1.0, 1.0), {MULTIMODAL: 1, "text": 1}, BOUND)
    generated.labels["text"] = doubles(1.0, 0.5, 3.0)
    expected = doubles(0.0, math.tanh(0.5), math.tanh(2.0))
    torch.testing.assert_close(generated.row_weights("text", torch.arange(3)), expected)
    torch.testing.assert_close(generated.row_weights("text", torch.tensor([2])), expected[2:])


def test_constant_weighting_counts_every_row_alike():
    options = UlgmConfig(weighting="constant")
    generated = generator_of(doubles(1.0, 1.0), {MULTIMODAL: 1, "text": 1}, BOUND, options)
    generated.labels["text"] = doubles(1.0, -2.0)
    assert generated.row_weights("text", torch.arange(2)).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("start", [2, 4])
def test_labels_first_move_in_the_epoch_that_they_are_told_to_start_in(start):
    labels, options = doubles(1.0, -2.0, 0.5, -0.5), UlgmConfig(start=start)
    for epochs in (start - 1, start):
        generated = generator_of(labels, {MULTIMODAL: 2, "text": 3}, BOUND, options)
        run_both(generated, None, epochs=epochs)
        assert torch.equal(generated.labels["text"], labels) == (epochs < start)


def test_the_clamp_rate_is_the_share_of_rows_whose_proposal_hit_the_bound():
    """Equal distances to both centres of all modalities together make the ratio explode."""
    generated = generator_of(doubles(1.0, -1.0, 2.0, -2.0), {MULTIMODAL: 1, "text": 1}, BOUND)
    rows = torch.tensor([0, 1])
    hidden = {MULTIMODAL: doubles([2.0], [5.0]), "text": doubles([2.0], [2.0])}
    generated.centres = {MULTIMODAL: (doubles(1.0), doubles(3.0)),
                         "text": (doubles(1.0), doubles(5.0))}  # fmt: skip
    assert generated.summarise_labels("text")["clamp_rate"] == 0.0
    generated.start_epoch()
    generated.update(2, rows, hidden)
    # Row 0 is at the bound; row 1: own 2, multimodal -.5, ratio -4, proposal 2 + .75.
    assert generated.summarise_labels("text")["clamp_rate"] == 1 / 4
    assert generated.labels["text"][:2].tolist() == pytest.approx([7 / 3, -1 / 3 + 2 / 3 * 2.75])
    generated.start_epoch()
    assert generated.summarise_labels("text")["clamp_rate"] == 0.0


def test_the_mean_weight_is_over_all_rows():
    generated = generator_of(doubles(1.0, 1.0, 1.0), {MULTIMODAL: 1, "text": 1}, BOUND)
    generated.labels["text"] = doubles(1.0, 0.5, 3.0)
    expected = (math.tanh(0.5) + math.tanh(2.0)) / 3
    assert generated.summarise_labels("text")["mean_weight"] == pytest.approx(expected)


def test_the_label_corr_is_pearson_with_the_data_s_own_labels():
    generated = generator_of(doubles(1.0, -2.0, 0.5, 3.0), {MULTIMODAL: 1, "text": 1}, BOUND)
    true = doubles(0.5, -1.0, 1.0, 0.0)
    expected = np.corrcoef([1.0, -2.0, 0.5, 3.0], true.numpy())[0, 1]
    assert generated.summarise_labels("text", true)["label_corr"] == pytest.approx(expected)
    assert generated.summarise_labels("text", -generated.labels["text"])[
        "label_corr"
    ] == pytest.approx(-1)


def test_a_label_corr_that_is_undefined_is_absent():
    generated = generator_of(doubles(1.0, -2.0), {MULTIMODAL: 1, "text": 1}, BOUND)
    assert "label_corr" not in generated.summarise_labels("text")
    assert "label_corr" not in generated.summarise_labels("text", doubles(0.5, 0.5))


def test_the_multimodal_labels_never_move():
    labels = doubles(1.0, -2.0, 0.5, -0.5)
    generated = run_both(generator_of(labels, {MULTIMODAL: 2, "text": 3}, BOUND), None, epochs=4)
    assert torch.equal(generated.labels[MULTIMODAL], labels)
    assert not torch.equal(generated.labels["text"], labels)


def test_the_labels_given_are_copied_not_changed():
    labels = doubles(1.0, -2.0, 0.5, -0.5)
    run_both(generator_of(labels, {MULTIMODAL: 2, "text": 3}, BOUND), None, epochs=3)
    assert labels.tolist() == [1.0, -2.0, 0.5, -0.5]


def test_a_generator_of_another_s_state_goes_on_where_that_was():
    first = generator_of(doubles(1.0, -2.0, 0.5, -0.5), {MULTIMODAL: 2, "text": 3}, BOUND)
    run_both(first, None, epochs=2)
    moved = first.labels["text"].clone()
    second = LabelGenerator(copy.deepcopy(first.state), first.bound)
    hidden = {MULTIMODAL: doubles([1.0, 2.0], [3.0, 0.0]), "text": doubles([5.0] * 3, [0.5] * 3)}
    rows = torch.tensor([2, 0])
    for generator in (first, second):
        generator.update(3, rows, hidden)
    torch.testing.assert_close(second.state, first.state, rtol=0, atol=0)
    assert torch.equal(second.row_weights("text", rows), first.row_weights("text", rows))
    assert not torch.equal(second.labels["text"], moved)


def test_a_generator_of_another_s_state_keeps_to_its_own_bound():
    first = generator_of(doubles(1.0, -2.0, 0.5, -0.5), {MULTIMODAL: 2, "text": 3}, BOUND)
    narrow = LabelGenerator(first.state, 0.25)
    # Labels start anywhere; what is proposed later keeps to the bound, and pulls them in.
    run_both(narrow, None, epochs=2)
    for start, label in zip((1.0, -2.0, 0.5, -0.5), narrow.labels["text"].tolist(), strict=True):
        assert abs(label) <= abs(start) / 3 + 0.25 * 2 / 3 + 1e-12


def test_hidden_vectors_are_kept_without_their_gradient():
    generated = generator_of(doubles(1.0, -1.0), {MULTIMODAL: 1, "text": 1}, BOUND)
    hidden = doubles([1.0], [2.0]).requires_grad_()
    generated.update(1, torch.arange(2), {MULTIMODAL: hidden, "text": hidden})
    assert not generated.hidden["text"].requires_grad
    assert not generated.centres["text"][0].requires_grad


def test_a_centre_without_an_utterance_is_zero_and_nothing_turns_nan():
    labels = doubles(1.0, 2.0, 0.0)
    generated = generator_of(labels, {MULTIMODAL: 2, "text": 3}, BOUND)
    run_both(generated, None, epochs=3)
    assert generated.centres[MULTIMODAL][1].tolist() == [0.0, 0.0]
    assert generated.labels["text"].isfinite().all()


@pytest.mark.parametrize("seed", range(5))
def test_it_does_what_a_slow_double_does(seed):
    generator = np.random.default_rng(seed)
    labels = generator.uniform(-BOUND, BOUND, 11)
    labels[generator.integers(11)] = 0.0
    widths = {MULTIMODAL: 4, "text": 3, "vision": 2}
    fast, slow = generator_of(torch.tensor(labels), widths, BOUND), Slow(labels, widths, BOUND)
    run_both(fast, slow, epochs=6, seed=seed)
    for name in widths:
        np.testing.assert_allclose(fast.labels[name].numpy(), slow.labels[name], rtol=1e-9)
        for found, expected in zip(fast.centres[name], slow.centres[name], strict=True):
            np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9, atol=1e-12)
    rows = torch.tensor([3, 0, 7])
    expected = np.tanh(np.abs(slow.labels["text"] - labels))[[3, 0, 7]]
    np.testing.assert_allclose(fast.row_weights("text", rows).numpy(), expected, rtol=1e-9)
    # Worth comparing only where labels moved.
    assert np.abs(slow.labels["text"] - labels).max() > 0.1


class Slow:
    """The rule, row by row in numpy, written from the design page alone."""

    def __init__(self, labels, widths, bound):
        self.bound = bound
        self.labels = {name: labels.copy() for name in widths}
        self.features = {name: np.zeros((len(labels), width)) for name, width in widths.items()}
        self.centres = {}

    def update(self, epoch, rows, hidden):
        for place, row in enumerate(rows):
            if epoch > 1:
                self.move(epoch, row, {name: vectors[place] for name, vectors in hidden.items()})
        for name, vectors in hidden.items():
            for place, row in enumerate(rows):
                self.features[name][row] = vectors[place]
        for name, labels in self.labels.items():
            positive = [row for row, label in enumerate(labels) if label > 0]
            negative = [row for row, label in enumerate(labels) if label < 0]
            self.centres[name] = tuple(
                self.features[name][chosen].mean(axis=0) for chosen in (positive, negative)
            )

    def move(self, epoch, row, hidden):
        delta = {}
        for name, vector in hidden.items():
            to_positive, to_negative = (math.dist(vector, c) for c in self.centres[name])
            delta[name] = (to_negative - to_positive) / (to_positive + 1e-8)
        label = self.labels[MULTIMODAL][row]
        for name in set(hidden) - {MULTIMODAL}:
            ratio = delta[name] / (delta[MULTIMODAL] + 1e-8)
            new = 0.5 * ratio * label + 0.5 * (label + delta[name] - delta[MULTIMODAL])
            new = min(self.bound, max(-self.bound, new))
            old = self.labels[name][row]
            self.labels[name][row] = (epoch - 1) / (epoch + 1) * old + 2 / (epoch + 1) * new


def run_both(fast, slow, *, epochs, seed=0):
    """Some epochs of batches in random order, with hidden vectors that drift."""
    generator = np.random.default_rng(100 + seed)
    count = len(fast.labels[MULTIMODAL])
    for epoch in range(1, epochs + 1):
        order = generator.permutation(count)
        for rows in np.array_split(order, math.ceil(count / 4)):
            hidden = {
                name: np.maximum(generator.standard_normal((len(rows), table.shape[1])), 0)
                + 0.3 * fast.labels[MULTIMODAL].numpy()[rows, None]
                for name, table in fast.hidden.items()
            }
            tensors = {name: torch.tensor(vectors) for name, vectors in hidden.items()}
            fast.update(epoch, torch.tensor(rows), tensors)
            if slow is not None:
                slow.update(epoch, rows.tolist(), hidden)
    return fast
