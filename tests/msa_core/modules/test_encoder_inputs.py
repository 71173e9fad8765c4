"""What encoders read: the pooling and cleaning that is done before the training.

Shapes: B utterances, T steps, D features.
"""

import numpy as np
import pytest
import torch

from msa_core.config.kinds import kinds_of, module_of
from msa_core.config.schema import Config
from msa_core.data.batching import Scaler, prepare_batch
from msa_core.data.dataset import Split
from spaces.fields.paths import replace

B, T, D = 6, 5, 3
LENGTHS = torch.tensor([5, 1, 3, 0, 2, 5])
CPU = torch.device("cpu")


@pytest.fixture
def frames():
    return torch.randn(B, T, D, generator=torch.Generator().manual_seed(3))


def split_of(frames, lengths):
    rows = len(frames)
    return Split(
        name="train",
        ids=tuple(map(str, range(rows))),
        features={"text": frames.numpy().astype(np.float32)},
        lengths={"text": lengths.numpy()},
        labels=np.zeros(rows, np.float32),
    )


def test_pooling_before_training_equals_pooling_inside_the_encoder(frames):
    split = split_of(frames, LENGTHS)
    scaler = Scaler.fit(split, ("text",), standardise=True)
    pooled = prepare_batch(split, scaler, Config(), CPU)
    whole = prepare_batch(split, scaler, replace(Config(), {"model.text.encoder": "lstm"}), CPU)
    assert pooled.features["text"].shape == (B, D)
    assert whole.features["text"].shape == (B, T, D)
    assert not pooled.lengths
    encoder = module_of(Config, "encoder", "mean_mlp")(D, 4, 0.0).eval()
    torch.testing.assert_close(
        encoder(pooled.features["text"], pooled.lengths.get("text"))[0],
        encoder(whole.features["text"], whole.lengths["text"])[0],
    )


@pytest.mark.parametrize("encoder_name", kinds_of(Config, "encoder"))
def test_what_a_file_holds_behind_the_last_frame_never_reaches_a_model(frames, encoder_name):
    config = replace(Config(), {"model.text.encoder": encoder_name})
    dirty = frames.clone()
    dirty[torch.arange(T) >= LENGTHS[:, None]] = 1e30
    batches = []
    for values in (frames, dirty):
        split = split_of(values, LENGTHS)
        batches.append(prepare_batch(split, Scaler.fit(split, ("text",), True), config, CPU))
    torch.testing.assert_close(batches[0].features, batches[1].features, rtol=0, atol=0)
