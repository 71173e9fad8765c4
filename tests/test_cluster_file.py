"""`cluster.yaml` is what `ray up` accepts, and opens nothing to the world."""

from pathlib import Path

from ray.autoscaler._private.util import prepare_config, validate_config
from ruamel.yaml import YAML

CLUSTER = Path(__file__).parents[1] / "cluster.yaml"


def test_cluster_file_fits_rays_own_schema() -> None:
    validate_config(prepare_config(YAML(typ="safe").load(CLUSTER.read_text())))


def test_the_dashboard_listens_on_loopback_only() -> None:
    commands = YAML(typ="safe").load(CLUSTER.read_text())["head_start_ray_commands"]
    (start,) = [command for command in commands if "ray start" in command]
    assert "--dashboard-host=127.0.0.1" in start
