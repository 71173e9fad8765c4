"""Messages between two processes: a JSON object, and arrays beside it."""

import io
import json
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

ARRAYS = "arrays"  # key of the names of the arrays that follow a message


def send_message(
    connection: Connection, content: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]] = {}
) -> None:
    """Send a message.

    Raises:
        OSError: The other process has ended.
        ValueError: An array has objects in it.
    """
    packed = [_array_bytes(array) for array in arrays.values()]
    connection.send_bytes(json.dumps({**content, ARRAYS: list(arrays)}).encode())
    for one in packed:
        connection.send_bytes(one)


def receive_message(connection: Connection) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Receive a message and its arrays.

    Raises:
        EOFError, OSError: The other process has ended.
    """
    content = json.loads(connection.recv_bytes())
    names = content.pop(ARRAYS)
    return content, {name: _array_from(connection.recv_bytes()) for name in names}


def _array_bytes(array: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def _array_from(content: bytes) -> NDArray[Any]:
    found: NDArray[Any] = np.load(io.BytesIO(content), allow_pickle=False)
    return found
