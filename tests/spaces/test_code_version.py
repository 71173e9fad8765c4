"""The digest of code: unchanged by what computes nothing, changed by what does, named by file."""

from pathlib import Path

import pytest

from spaces.code_version import CodeTree, CodeVersion, changed_files, modules_beside

FILES = {
    "pkg/__init__.py": '"""A package."""\n',
    "pkg/main.py": """\
\"\"\"What runs.\"\"\"

import math
from typing import TYPE_CHECKING

import pkg.deep.whole
from pkg import helper
from pkg.deep.inner import SCALE as scale

if TYPE_CHECKING:
    from pkg import unused


class Model:
    \"\"\"A model.\"\"\"

    width: int = 3

    def run(self, value: float) -> float:
        \"\"\"Run it.\"\"\"
        from .late import shift

        return helper.half(value) * scale + shift(math.pi) + pkg.deep.whole.ONE
""",
    "pkg/helper.py": "def half(value):\n    return value / 2\n",
    "pkg/late.py": "def shift(value):\n    return value + 1\n",
    "pkg/unused.py": "A = 1\n",
    "pkg/deep/__init__.py": "",
    "pkg/deep/inner.py": "SCALE = 1.5\n",
    "pkg/deep/whole.py": "ONE = 1\n",
}


def version(folder: Path, files: dict[str, str], *roots: str, **leave_out: str) -> CodeVersion:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    tree = CodeTree(
        {"pkg": folder / "pkg"}, {f"pkg.{name}": [other] for name, other in leave_out.items()}
    )
    return tree.version(roots or ("pkg.main",))


@pytest.fixture
def before(tmp_path: Path) -> CodeVersion:
    return version(tmp_path / "before", FILES)


def with_main(old: str, new: str) -> dict[str, str]:
    assert old in FILES["pkg/main.py"]
    return {**FILES, "pkg/main.py": FILES["pkg/main.py"].replace(old, new)}


def renamed(old: str, new: str, **imports: str) -> dict[str, str]:
    """The files with one of them elsewhere, and its import as it then reads."""
    moved = {new if name == old else name: text for name, text in FILES.items()}
    for text, other in imports.items():
        moved["pkg/main.py"] = moved["pkg/main.py"].replace(text, other)
    return moved


def test_what_is_reached_is_named_by_file(before: CodeVersion) -> None:
    assert list(before.files) == [
        "pkg/deep/inner.py", "pkg/deep/whole.py", "pkg/helper.py", "pkg/late.py", "pkg/main.py",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""What runs."""', '"""What else runs."""'),
        ('    """A model."""\n', '    # A comment.\n    """Another."""\n    "and a bare text"\n'),
        ('        """Run it."""\n', ""),
        ("width: int = 3", "width: int=(3)"),
        ("import math\nfrom typing", "import math\n\n\nfrom typing"),
        ("    from pkg import unused", "    from pkg import helper as unused"),
        ("from typing import TYPE_CHECKING\n", "from typing import TYPE_CHECKING  # noqa\n"),
        ("class Model:", "pass\n\n\nclass Model:"),
        ("= 3\n", "= 0x3\n"),
    ],
)
def test_what_computes_nothing_changes_nothing(
    tmp_path: Path, before: CodeVersion, old: str, new: str
) -> None:
    now = version(tmp_path / "now", with_main(old, new))
    assert now.digest == before.digest
    assert now.files == before.files


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("width: int = 3", "width: int = 4"),
        ("width: int = 3", "width: float = 3"),  # a dataclass would read it
        ("width: int = 3", "width: int = 3.0"),
        ("* scale +", "+ scale *"),
        ("import math\n", "import cmath as math\n"),
        ("SCALE as scale", "SCALE as scale, SCALE as other"),
        ("helper.half(value)", "half(value)"),
        ("def run(self, value: float)", "def run(self, value: float, /)"),
    ],
)
def test_what_computes_something_changes_the_digest(
    tmp_path: Path, before: CodeVersion, old: str, new: str
) -> None:
    now = version(tmp_path / "now", with_main(old, new))
    assert now.digest != before.digest
    assert changed_files(before.files, now.files) == ["pkg/main.py changed"]


def test_a_module_that_is_imported_counts_with_all_that_it_imports(
    tmp_path: Path, before: CodeVersion
) -> None:
    for number, (name, old, new) in enumerate(
        [("helper", "/ 2", "/ 3"), ("late", "+ 1", "+ 2"), ("deep/inner", "1.5", "1.6")]
    ):
        path = f"pkg/{name}.py"
        now = version(tmp_path / str(number), {**FILES, path: FILES[path].replace(old, new)})
        assert now.digest != before.digest
        assert changed_files(before.files, now.files) == [f"{path} changed"]
    unused = version(tmp_path / "unused", {**FILES, "pkg/unused.py": "A = 2\n"})
    assert unused == before


HELPER, INNER = "from pkg import helper", "pkg.deep.inner import"


@pytest.mark.parametrize(
    "files",
    [
        renamed("pkg/deep/inner.py", "pkg/outer.py", **{INNER: "pkg.outer import"}),
        renamed(
            "pkg/helper.py",
            "pkg/deep/tool.py",
            **{HELPER: "from pkg.deep import tool", "helper.half": "tool.half"},
        ),
        renamed("pkg/helper.py", "pkg/tool.py", **{HELPER: "import pkg.tool as helper"}),
        renamed("pkg/deep/whole.py", "pkg/part.py", **{"pkg.deep.whole": "pkg.part"}),
        renamed("pkg/late.py", "pkg/sooner.py", **{".late import": "pkg.sooner import"}),
    ],
)
def test_a_moved_or_renamed_file_changes_nothing(
    tmp_path: Path, before: CodeVersion, files: dict[str, str]
) -> None:
    now = version(tmp_path / "now", files)
    assert now.digest == before.digest
    assert changed_files(before.files, now.files) == []


def test_imports_in_another_order_are_the_same(tmp_path: Path, before: CodeVersion) -> None:
    files = with_main(
        "from pkg import helper\nfrom pkg.deep.inner import SCALE as scale",
        "from pkg.deep.inner import SCALE as scale\nfrom pkg import helper",
    )
    assert version(tmp_path / "now", files) == before


def test_another_module_under_the_same_name_is_another_program(
    tmp_path: Path, before: CodeVersion
) -> None:
    twice = "def half(value):\n    return value / 4\n"
    files = with_main("from pkg import helper", "from pkg import quarter as helper")
    assert version(tmp_path / "now", {**files, "pkg/quarter.py": twice}).digest != before.digest


def test_a_name_that_shadows_a_module_is_not_taken_for_it(tmp_path: Path) -> None:
    texts = [
        f"from pkg import helper{alias}\n\ndef run(helper):\n    return {used}.half(1)\n"
        for alias, used in ((" as tool", "helper"), (" as tool", "tool"), ("", "helper"))
    ]
    made = [
        version(tmp_path / str(number), {**FILES, "pkg/main.py": text}).digest
        for number, text in enumerate(texts)
    ]
    assert len(set(made)) == 3


def test_the_code_of_a_package_counts_since_it_is_executed(
    tmp_path: Path, before: CodeVersion
) -> None:
    now = version(tmp_path / "now", {**FILES, "pkg/deep/__init__.py": "SEED = 1\n"})
    assert now.digest != before.digest
    assert changed_files(before.files, now.files) == ["pkg/deep/__init__.py is new"]


CIRCLE = {
    "pkg/__init__.py": "",
    "pkg/main.py": "from pkg import one\n",
    "pkg/one.py": "from pkg.two import b\n\ndef a():\n    return b\n",
    "pkg/two.py": "from pkg import one\n\nb = 1\n\ndef c():\n    return one.a()\n",
}


def test_circles_of_imports_are_digested_together(tmp_path: Path) -> None:
    circle = version(tmp_path / "circle", CIRCLE)
    other = version(
        tmp_path / "other", {**CIRCLE, "pkg/two.py": CIRCLE["pkg/two.py"].replace("= 1", "= 2")}
    )
    assert other.digest != circle.digest
    # Whatever its files are called, and from whichever side it is entered.
    moved = {
        "pkg/__init__.py": "",
        "pkg/main.py": "from pkg import first as one\n",
        "pkg/first.py": "from pkg.zwei import b\n\ndef a():\n    return b\n",
        "pkg/zwei.py": "from pkg import first\n\nb = 1\n\ndef c():\n    return first.a()\n",
    }
    assert version(tmp_path / "moved", moved).digest == circle.digest
    tree = CodeTree({"pkg": tmp_path / "circle" / "pkg"})
    first = {root: tree.version([root]).digest for root in ("pkg.one", "pkg.two")}
    tree = CodeTree({"pkg": tmp_path / "circle" / "pkg"})
    assert {root: tree.version([root]).digest for root in ("pkg.two", "pkg.one")} == first


def test_what_is_left_out_does_not_count_through_that_import(tmp_path: Path) -> None:
    cut = version(tmp_path / "cut", FILES, main="pkg.helper")
    changed = {**FILES, "pkg/helper.py": "def half(value):\n    return value\n"}
    assert version(tmp_path / "now", changed, main="pkg.helper") == cut
    assert "pkg/helper.py" not in cut.files
    # As a root it does.
    roots = ("pkg.main", "pkg.helper")
    made = [
        version(tmp_path / f"root {number}", files, *roots, main="pkg.helper").digest
        for number, files in enumerate((FILES, changed))
    ]
    assert made[0] != made[1]


def test_a_file_with_the_modules_beside_it(tmp_path: Path) -> None:
    for name, text in (("train.py", "import model\nimport numpy\n"), ("model.py", "A = 1\n")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    found = CodeTree(modules_beside(tmp_path / "train.py")).version(["train"])
    assert list(found.files) == ["model.py", "train.py"]
    (tmp_path / "model.py").write_text("A = 2\n", encoding="utf-8")
    now = CodeTree(modules_beside(tmp_path / "train.py")).version(["train"])
    assert now.digest != found.digest
    assert changed_files(found.files, now.files) == ["model.py changed"]


def test_code_that_python_warns_about_is_read_without_a_warning(tmp_path: Path) -> None:
    texts = ['A = "\\d"\n', f"A = {' + '.join('1' for _ in range(5000))}\n"]
    for number, text in enumerate(texts):
        now = version(tmp_path / str(number), {**FILES, "pkg/helper.py": text})
        assert "pkg/helper.py" in now.files


def test_a_file_that_is_no_python_is_digested_as_it_is(tmp_path: Path) -> None:
    broken = [
        version(tmp_path / str(number), {**FILES, "pkg/helper.py": f"def half(:{number}"}).digest
        for number in range(2)
    ]
    assert broken[0] != broken[1]
    with pytest.raises(ModuleNotFoundError, match="nothing' is no module of pkg"):
        version(tmp_path / "0", FILES, "pkg.nothing")
