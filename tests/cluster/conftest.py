"""Hosts of a cluster, for the tests that need one."""

import os
from collections.abc import Callable, Iterator

import pytest
from hosts import Hosts, can_make_hosts


@pytest.fixture
def make_hosts(program: Callable[[str], str]) -> Iterator[Callable[..., Hosts]]:
    """Makes hosts with a Ray cluster on them, and takes them away whatever happens."""
    program("ip")
    if not can_make_hosts():
        reason = "network namespaces can't be made here; that needs root or CAP_SYS_ADMIN"
        if os.environ.get("TRIPTYCH_REQUIRE_PROGRAMS"):
            pytest.fail(reason)
        pytest.skip(reason)
    made: list[Hosts] = []

    def make(*names: str, cores: int = 1) -> Hosts:
        hosts = Hosts(names)
        made.append(hosts)
        hosts.connect()
        hosts.start_ray(cores)
        return hosts

    yield make
    for hosts in made:
        hosts.close()
