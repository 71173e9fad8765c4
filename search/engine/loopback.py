"""A Ray of this machine alone: it listens on loopback only, and asks for a token."""

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Ray's own switch, made for the firewalls of macOS and Windows: off, every server of a local Ray
# binds to loopback. An address of loopback given to `ray.init` is replaced by the machine's.
BEYOND_LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
TOKEN, TOKEN_FILE = "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"


@contextmanager
def on_loopback() -> Iterator[None]:
    """Keep a Ray that is started inside on loopback; best before anything imports ray.

    Other users of this machine reach loopback too. Ray asks them for a token, which without this
    it would leave in `~/.ray/auth_token`: here it is made anew and is never in a file. It stays
    for the life of this process, since Ray reads it only once.
    """
    if TOKEN_FILE not in os.environ:
        os.environ.setdefault(TOKEN, secrets.token_hex(32))
    before = os.environ.get(BEYOND_LOOPBACK)
    os.environ[BEYOND_LOOPBACK] = "0"
    # If something has imported ray already, it has read the switch, too.
    constants = sys.modules.get("ray._private.ray_constants")
    was = getattr(constants, "ENABLE_RAY_CLUSTER", None)
    if was is not None:
        constants.ENABLE_RAY_CLUSTER = False  # type: ignore[union-attr]
    try:
        yield
    finally:
        if before is None:
            del os.environ[BEYOND_LOOPBACK]
        else:
            os.environ[BEYOND_LOOPBACK] = before
        if was is not None:
            constants.ENABLE_RAY_CLUSTER = was  # type: ignore[union-attr]
