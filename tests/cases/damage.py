"""Ways in which a study file can be damaged, drawn by hypothesis."""

import copy
import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hypothesis import strategies as st
from ruamel.yaml import YAML

WORDS = (
    "null", "~", "[]", "{}", "{a: 1}", "-1", "0", "1e400", "-1e400", ".nan", ".inf", "NaN", "true",
    "off", "on", "!!python/name:os.system", "!!python/object/apply:os.system [ls]", "!x {a: 1}",
    "!!set {a, b}", "!!omap [a: 1]", "!!binary aGk=", "!!float x", "!!int x", "!!timestamp 1",
    "&a [*a]", "&a [*a, *a, *a]", "&a {<<: *a}", "*b", "<<: {a: 1}", "<<: [1]", "<<: 3", "&base 3",
    "2020-01-01", "2020-01-01 10:00:00", "? [a]: b", "? {a: b}", "{1: 2}", "{null: 1, '': 2}",
    "{true: 1, 'True': 2}", "{1: 1, '1': 2, 1.0: 3}", "---\nb", "...\n", "\t", "#", "|\n  x", "'",
    '"', '"\\n"', '"\\ud800"', '"\\u2028x"', "\x07", "\ufeff", "99999999999999999999", "1" * 5000,
    "0x" + "f" * 5000, "[1, 2, 3]", ": ", "- ", "\n", "@", "%YAML 9.9", "`", "!", "&", "*",
    "[" * 99,
    "{a: " * 60, "- " * 300, "? " * 200, "(" * 100, "1 < " * 300 + "2", "- " * 20 + "a", "e" * 3000,
)  # fmt: skip
NUMBERS = (
    "0", "-0", "-1", "1", "2", "1.5", "1e-320", "1e308", "1e400", "-1e400", "3", "1000", "100000",
    "2147483648", "9223372036854775808", "1" + "0" * 320, ".nan", ".inf", "0.1", "true", "1_000",
    "0o17", "0b1", "1e-7", "0.30000000000000004", "12:30:45", "+5", "007",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 10**18, 10**320, 0.5, 1e-300, 1e300, float("inf"), float("nan"),
    "", " ", "x", "off", "full", "a\nb", "\u2028", "\ud800", "x" * 500, "model.text.use", "auto",
    [], {}, [[]], [{}], {"": {}}, {"a": 1}, ["a", "b"], [1, 2], [0.1, 0.2], [True, 1], {"on": {}},
    {"choice": [1, 2]}, {"uniform": [0, 1]}, {"int": [1, 4], "when": "x"}, {"search": {}},
    {"from": {}, "to": {}}, {"explicit": {"a": {}}}, "1 < 2", "not", "model.text.width > 3",
    {"model.fusion.kind": "tfn"}, {"model": {"fusion": {"kind": "lmf"}}}, "a is better than b",
)  # fmt: skip
DEEP = (55, 300)  # of values inside one another
HUGE = (300, 1000)  # of a list or a mapping


class Damaged(str):
    """The text of a damaged study; a test that fails shows no more of it than one can read."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(self[:5000])


Draw = Callable[[st.SearchStrategy[Any]], Any]


@st.composite
def damaged(draw: Draw, texts: Sequence[str]) -> Damaged:
    """The text of a study with one to three kinds of damage; its tree's first, then its text's."""
    place = draw(st.integers(0, len(texts) - 1))
    text = texts[place]
    changes = draw(st.sampled_from([0, 1, 1, 2]))
    if changes:
        tree = copy.deepcopy(_tree(text))
        for _ in range(changes):
            draw(st.sampled_from(OF_TREES))(draw, tree)
        text = json.dumps(tree)  # which is YAML too
    for _ in range(draw(st.sampled_from([0, 0, 0, 1] if changes else [1, 1, 2]))):
        text = draw(st.sampled_from(OF_TEXTS))(draw, text or " ")
    return Damaged(text)


_TREES: dict[str, Any] = {}


def _tree(text: str) -> Any:
    if text not in _TREES:
        _TREES[text] = YAML(typ="safe", pure=True).load(text)
    return _TREES[text]


def _put_word(draw: Draw, text: str) -> str:
    words = text.split(" ")
    words[_place(draw, words)] = draw(st.sampled_from(WORDS))
    return " ".join(words)


def _insert_word(draw: Draw, text: str) -> str:
    place = draw(st.integers(0, len(text)))
    return text[:place] + draw(st.sampled_from(WORDS)) + text[place:]


def _cut(draw: Draw, text: str) -> str:
    place = draw(st.integers(0, len(text)))
    return text[:place] + text[place + draw(st.integers(1, 30)) :]


def _end_early(draw: Draw, text: str) -> str:
    return text[: draw(st.integers(0, len(text)))]


def _repeat_line(draw: Draw, text: str) -> str:
    lines = text.split("\n")
    lines.insert(_place(draw, lines), lines[_place(draw, lines)])
    return "\n".join(lines)


def _swap_lines(draw: Draw, text: str) -> str:
    lines = text.split("\n")
    first, second = _place(draw, lines), _place(draw, lines)
    lines[first], lines[second] = lines[second], lines[first]
    return "\n".join(lines)


def _indent(draw: Draw, text: str) -> str:
    lines = text.split("\n")
    place = _place(draw, lines)
    lines[place] = draw(st.sampled_from(["  ", " ", "- ", "\t"])) + lines[place]
    return "\n".join(lines)


def _change_number(draw: Draw, text: str) -> str:
    return _change(draw, text, r"(?<![\w.])-?[0-9][0-9.e+-]*", st.sampled_from(NUMBERS))


def _misspell(draw: Draw, text: str) -> str:
    """A word without a letter, with one twice, or another word of the file instead of it."""
    words = re.findall(r"[A-Za-z_]{3,}", text) or ["x"]
    word = words[_place(draw, words)]
    at = _place(draw, word)
    near = [word[:at] + word[at + 1 :], word[:at] + word[at:] * 2, words[_place(draw, words)]]
    return _change(draw, text, rf"\b{word}\b", st.sampled_from(near))


def _change(draw: Draw, text: str, pattern: str, others: st.SearchStrategy[str]) -> str:
    found = list(re.finditer(pattern, text))
    if not found:
        return text
    chosen = found[_place(draw, found)]
    return text[: chosen.start()] + draw(others) + text[chosen.end() :]


def _replace(draw: Draw, tree: Any) -> None:
    _put(draw, tree, lambda old: copy.deepcopy(draw(st.sampled_from(VALUES))))


def _delete(draw: Draw, tree: Any) -> None:
    holder, key = _slot(draw, tree)
    if holder is not None:
        del holder[key]


def _double(draw: Draw, tree: Any) -> None:
    holder, key = _slot(draw, tree)
    if isinstance(holder, list):
        holder.insert(key, copy.deepcopy(holder[key]))
    elif holder is not None:
        other, to = _slot(draw, tree)
        other[f"{to} 2" if isinstance(other, dict) else to] = copy.deepcopy(holder[key])


def _swap(draw: Draw, tree: Any) -> None:
    (first, one), (second, two) = _slot(draw, tree), _slot(draw, tree)
    if first is not None:
        of_first, of_second = copy.deepcopy(first[one]), copy.deepcopy(second[two])
        first[one], second[two] = of_second, of_first


def _rename(draw: Draw, tree: Any) -> None:
    holder, key = _slot(draw, tree)
    if isinstance(holder, dict):
        names = [name for inside, name in _slots(tree) if isinstance(inside, dict)]
        others = [*names, "", "a\nb", f"{key}s", f"{key}"[:-1], "search", "off"]
        name = draw(st.sampled_from(others))
        holder[name] = holder.pop(key)


def _wrap(draw: Draw, tree: Any) -> None:
    deep = draw(st.sampled_from([1, 2, *DEEP]))
    name = draw(st.sampled_from(["", "a", "search", "product", "union", "explicit"]))

    def wrapped(old: Any) -> Any:
        for _ in range(deep):
            old = {name: old} if name else [old]
            old = [old] if name in ("product", "union") else old
        return old

    _put(draw, tree, wrapped)


def _enlarge(draw: Draw, tree: Any) -> None:
    size = draw(st.sampled_from(HUGE))

    def enlarged(old: Any) -> Any:
        if isinstance(old, dict) and old:
            first = next(iter(old.values()))
            return {**old, **{f"x{number}": first for number in range(size)}}
        if isinstance(old, list) and old:
            return old * (size // len(old) + 1)
        return list(range(size)) if isinstance(old, int | float) else [old] * size

    _put(draw, tree, enlarged)


def _put(draw: Draw, tree: Any, change: Callable[[Any], Any]) -> None:
    holder, key = _slot(draw, tree)
    if holder is not None:
        holder[key] = change(holder[key])


def _slot(draw: Draw, tree: Any) -> tuple[Any, Any]:
    slots = list(_slots(tree))
    return slots[_place(draw, slots)] if slots else (None, None)


def _slots(tree: Any, deep: int = 0) -> Iterator[tuple[Any, Any]]:
    """Where a value is in a tree: what holds it, and under which key."""
    if deep < 30 and isinstance(tree, dict | list):
        for key, inside in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield tree, key
            yield from _slots(inside, deep + 1)


def _place(draw: Draw, of: Sequence[Any]) -> int:
    return int(draw(st.integers(0, len(of) - 1)))


OF_TREES = (_replace, _replace, _delete, _double, _swap, _rename, _wrap, _enlarge)
OF_TEXTS = (
    _put_word, _insert_word, _cut, _end_early, _repeat_line, _swap_lines, _indent, _change_number,
    _change_number, _misspell, _misspell,
)  # fmt: skip
