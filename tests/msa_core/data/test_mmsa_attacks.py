"""Nothing that is in a feature file is ever run, and no file changes what the next one may do.

Every attack would create the file `marker` if anything of it ran.
"""

import copyreg
import os
import pickle
import struct

import numpy as np
import pytest

from spaces.core import DataError
from tests.cases.feature_files import read_features

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


@pytest.fixture
def content():
    """What a small, correct file holds."""
    return {
        name: {
            "id": [f"{name}{row}" for row in range(3)],
            "raw_text": np.array(["words"] * 3),
            "text": np.ones((3, 2), np.float32),
            "regression_labels": np.zeros(3, np.float32),
            "annotations": ["Neutral"] * 3,
        }
        for name in ("train", "valid", "test")
    }


class Call:
    """Pickles as a call, which `pickle.load` would make."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def code(marker):
    return f"__import__('pathlib').Path({str(marker)!r}).touch()"


def shell(marker):
    return f"touch {marker}"


def called_by_name(module, name, argument):
    return f"c{module}\n{name}\n(V{argument}\ntR.".encode()


ATTACKS = {
    "os.system": lambda marker: called_by_name("os", "system", shell(marker)),
    "posix.system": lambda marker: called_by_name("posix", "system", shell(marker)),
    "subprocess.getoutput": lambda marker: called_by_name("subprocess", "getoutput", shell(marker)),
    "builtins.eval": lambda marker: called_by_name("builtins", "eval", code(marker)),
    "__builtin__.eval": lambda marker: called_by_name("__builtin__", "eval", code(marker)),
    "builtins.exec": lambda marker: called_by_name("builtins", "exec", code(marker)),
    "builtins.getattr": lambda marker: called_by_name("builtins", "getattr", code(marker)),
    "builtins.__import__": lambda marker: called_by_name("builtins", "__import__", "os"),
    "numpy.load": lambda marker: called_by_name("numpy", "load", marker),
    "numpy.memmap": lambda marker: called_by_name("numpy", "memmap", marker),
    "functools.partial": lambda marker: called_by_name("functools", "partial", "x"),
    "torch._utils._rebuild_tensor_v2": lambda marker: called_by_name(
        "torch._utils", "_rebuild_tensor_v2", "x"
    ),
    "os.system ": lambda marker: f"(S'{shell(marker)}'\nios\nsystem\n.".encode(),  # INST
    "os.popen": lambda marker: f"(cos\npopen\nV{shell(marker)}\no.".encode(),  # OBJ
    "builtins.str.format": lambda marker: b"\x80\x04\x8c\x08builtins\x8c\x0astr.format\x93.",
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_name_that_could_run_code_is_refused_by_its_name(write, tmp_path, name):
    marker = tmp_path / "marker"
    with pytest.raises(DataError, match=f"'{name.strip()}'.*nothing was run"):
        read_features(write(ATTACKS[name](marker)), "mosi")
    assert not marker.exists()


def hidden(content, attack, where):
    if where == "id":
        content["valid"]["id"][0] = attack
    elif where == "ignored key":
        content["test"]["annotations"] = [[attack]]
    elif where == "dictionary key":
        content = {attack: 0, **content}
    elif where == "array":
        content["train"]["raw_text"] = np.array(["a", attack], dtype=object)
    return attack if where == "alone" else content


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("where", ["alone", "id", "ignored key", "dictionary key", "array"])
@pytest.mark.parametrize("kind", ["system", "eval"])
def test_attacks_are_refused_wherever_they_hide(content, write, tmp_path, protocol, where, kind):
    marker = tmp_path / "marker"
    call = Call(os.system, shell(marker)) if kind == "system" else Call(eval, code(marker))
    path = write(hidden(content, call, where), protocol)
    with pytest.raises(DataError, match=f"'(posix|builtins|__builtin__).{kind}'.*nothing was run"):
        read_features(path, "mosi")
    assert not marker.exists()
    with path.open("rb") as file:  # The attack is real: without the guard it would have run.
        pickle.load(file)
    assert marker.exists()


def test_extension_codes_are_refused_even_if_they_are_registered_and_cached(write):
    copyreg.add_extension("os", "getcwd", 17)
    try:
        path = write(b"\x80\x02\x82\x11)R.")
        pickle.loads(path.read_bytes())  # Fills the cache, which is asked before `find_class`.
        with pytest.raises(DataError, match=r"'os\.getcwd'"):
            read_features(path, "mosi")
    finally:
        copyreg.remove_extension("os", "getcwd", 17)


@pytest.mark.parametrize("raw", [b"Pname\n.", b"Vname\nQ."])
def test_persistent_ids_are_refused(write, raw):
    with pytest.raises(DataError, match="persistent id 'name'"):
        read_features(write(raw), "mosi")


@pytest.mark.parametrize(
    "name", ["numpy._core.multiarray\n_reconstruct", "numpy\ndtype", "_codecs\nencode"]
)
def test_a_file_cannot_change_what_it_may_call(content, write, name):
    for state in (b"}V__doc__\nVhacked\ns", b"(N}V_function\nNst"):
        with pytest.raises(DataError, match="tries to change a function"):
            read_features(write(f"c{name}\n".encode() + state + b"b."), "mosi")
    assert read_features(write(content, 0), "mosi")


@pytest.mark.parametrize("name", ["list", "dict", "str", "bytes", "set", "range"])
def test_a_file_cannot_change_builtins(write, name):
    with pytest.raises(DataError, match="not a readable pickle"):
        read_features(write(f"cbuiltins\n{name}\n(N}}Vcopy\nNstb.".encode()), "mosi")


def test_codecs_other_than_latin1_are_refused(write):
    with pytest.raises(DataError, match="bytes written as 'rot13'"):
        read_features(write(b"c_codecs\nencode\n(Vabc\nVrot13\ntR."), "mosi")


class Forged:
    """Pickles as an array with parts of our choice."""

    def __init__(self, code, shape, data, order="<"):
        self.parts = code, shape, data, order

    def __reduce__(self):
        code, shape, data, order = self.parts
        make, arguments = np.zeros(1).__reduce__()[:2]
        return make, arguments, (1, shape, ForgedDtype(code, order), False, data)


class ForgedDtype:
    def __init__(self, code, order):
        self.parts = code, order

    def __reduce__(self):
        code, order = self.parts
        return np.dtype, (code, False, True), (3, order, None, None, None, -1, -1, 0)


@pytest.mark.parametrize(
    ("code", "shape", "data", "message"),
    [
        ("O8", (1,), struct.pack("P", 0xDEAD), "array of objects without a list"),
        ("f4", (1,), [1.0], "values of an array as list"),
        ("f4", (9, 9, 9), b"1234", r"1 values do not fill an array of shape \(9, 9, 9\)"),
        ("f4", (-1,), b"1234", r"\(-1,\) is not the shape"),
        ("f4", (2,), b"12345", "buffer size"),
        ("f4", 1, b"1234", "1 is not the shape"),
        ("V8", (1,), b"12345678", "'V8' are neither numbers nor text"),
        ("M8[D]", (1,), b"12345678", "neither numbers nor text"),
        ("f4,O", (1,), b"12345678", "neither numbers nor text"),
        ({"names": []}, (1,), b"12345678", "neither numbers nor text"),
        ("f3", (1,), b"123", "f3"),
    ],
)
def test_forged_arrays_are_refused(content, write, code, shape, data, message):
    content["valid"]["text"] = Forged(code, shape, data)
    with pytest.raises(DataError, match=rf"split 'valid', key 'text': cannot be read: .*{message}"):
        read_features(write(content), "mosi")


def test_a_forged_byte_order_is_refused(content, write):
    content["valid"]["text"] = Forged("f4", (1,), b"1234", "O8,")
    with pytest.raises(DataError, match="'O8,' is no byte order"):
        read_features(write(content), "mosi")


def test_a_list_inside_itself_is_refused(content, write):
    content["train"]["text"] = []
    content["train"]["text"].append(content["train"]["text"])
    with pytest.raises(DataError, match="split 'train', key 'text': cannot be read"):
        read_features(write(content), "mosi")
