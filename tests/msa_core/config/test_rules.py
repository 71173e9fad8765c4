"""What a configuration must not combine."""

import pytest

from msa_core.config.rules import check_config
from msa_core.config.schema import Config
from spaces.fields.declaration import ConfigError
from spaces.fields.paths import replace


def test_a_width_that_does_not_divide_into_heads_is_refused() -> None:
    changes = {"model.audio.encoder": "transformer", "model.audio.width": 10}
    config = replace(Config(), changes)
    with pytest.raises(ConfigError, match=r"'model.audio.width' is 10.*4 heads"):
        check_config(config, "mosi")
    check_config(replace(config, {"model.encoder.transformer.heads": 5}), "mosi")
    check_config(replace(config, {"model.audio.use": False}), "mosi")
