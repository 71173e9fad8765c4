"""Hosts of a cluster, for the tests that need one."""

from collections.abc import Callable, Iterator

import pytest

from tests.cases.servers.hosts import Hosts, can_make_hosts


@pytest.fixture
def make_hosts(program: Callable[[str], str]) -> Iterator[Callable[..., Hosts]]:
    """Makes hosts with a Ray cluster on them, and takes them away whatever happens."""
    program("ip")
    if not can_make_hosts():  # which no package that can be installed changes
        pytest.skip("network namespaces can't be made here; that needs root or CAP_SYS_ADMIN")
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
