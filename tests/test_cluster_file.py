"""`cluster.yaml` is what `ray up` accepts; it opens nothing to the world, and saves money."""

import re
import shlex
from typing import Any

import pytest
from ray.autoscaler._private.util import prepare_config, validate_config
from ruamel.yaml import YAML

from tests.cases.paths import REPOSITORY

CLUSTER = REPOSITORY / "cluster.yaml"


@pytest.fixture
def cluster() -> dict[str, Any]:
    """The file, as `ray up` reads it."""
    read: dict[str, Any] = YAML(typ="safe").load(CLUSTER.read_text())
    return read


def starts(cluster: dict[str, Any]) -> list[str]:
    """Every command that starts Ray on a node."""
    commands = cluster["head_start_ray_commands"] + cluster["worker_start_ray_commands"]
    found = [command for command in commands if "ray start" in command]
    assert len(found) == 2
    return found


def workers(cluster: dict[str, Any]) -> list[dict[str, Any]]:
    """The kinds of nodes that train."""
    return [
        kind
        for name, kind in cluster["available_node_types"].items()
        if name != cluster["head_node_type"]
    ]


def test_it_fits_rays_own_schema(cluster: dict[str, Any]) -> None:
    validate_config(prepare_config(cluster))


def test_no_port_is_opened_beyond_what_ray_opens_for_ssh(cluster: dict[str, Any]) -> None:
    assert cluster["provider"]["security_group"]["IpPermissions"] == []
    for kind in cluster["available_node_types"].values():
        assert "SecurityGroupIds" not in kind["node_config"]
    assert "docker" not in cluster


def test_the_dashboard_listens_on_loopback_only(cluster: dict[str, Any]) -> None:
    head, worker = starts(cluster)
    assert "--dashboard-host=127.0.0.1" in shlex.split(head)
    assert "dashboard-host" not in worker


def test_every_node_wants_the_token_and_has_it(cluster: dict[str, Any]) -> None:
    for start in starts(cluster):
        before, _, _ = start.partition("ray start")
        assert "RAY_AUTH_MODE=token" in before.split("export", 1)[1]
    assert cluster["file_mounts"]["/home/ubuntu/.ray/auth_token"] == "~/.ray/auth_token"
    assert not re.search(r"\b[0-9a-f]{32,}\b", CLUSTER.read_text())  # a token itself


def test_workers_are_spot_machines_that_come_and_go(cluster: dict[str, Any]) -> None:
    assert cluster["idle_timeout_minutes"] <= 15
    for kind in workers(cluster):
        assert kind["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
        assert kind["min_workers"] == 0
        assert 0 < kind["max_workers"] <= cluster["max_workers"]
    assert sum("GPU" in kind["resources"] for kind in workers(cluster)) == 1


def test_the_head_trains_nothing(cluster: dict[str, Any]) -> None:
    head = cluster["available_node_types"][cluster["head_node_type"]]
    assert head["resources"] == {"CPU": 0}
    assert "InstanceMarketOptions" not in head["node_config"]


def test_every_node_gets_the_same_versions(cluster: dict[str, Any]) -> None:
    setup = "\n".join(cluster["setup_commands"])
    assert "-c ~/triptych/constraints.txt" in setup
    assert re.search(r"--python 3\.\d+\.\d+", setup)
    assert not cluster.get("head_setup_commands") and not cluster.get("worker_setup_commands")
    pinned = (REPOSITORY / "constraints.txt").read_text()
    assert re.search(r"^ray==", pinned, re.MULTILINE)
    assert re.search(r"^torch==", pinned, re.MULTILINE)
