"""The files of `triptych init` and `triptych schema`: a study to start from, its JSON Schema."""

import json
import os
from pathlib import Path

from search.atomic_files import write_text_atomically
from search.help.function_study import function_study
from spaces.core import Core
from spaces.errors import StudyError
from spaces.find_core import DEFAULT, find_core
from spaces.help.schema import WRITTEN_BY, study_schema
from spaces.study_file.load import SHIPPED, find_study, load_study

STARTER = "planted-quick"
SCHEMA = "study.schema.json"
MODELINE = "# yaml-language-server: $schema="


def write_starter(file: Path, core: str = "", data: Path | None = None) -> str:
    """Write the starter study to a new file, and the schema that an editor needs beside it.

    Args:
        file: File to write.
        core: Python file or installed module whose fields the study has; empty = the planted data.
        data: File or folder for the `load` of that core; None = it needs none.

    Returns:
        A line to print about the schema.

    Raises:
        StudyError: The file is there already, or its folder is not.
    """
    if core:
        own = Path(core).stem if file.stem == "study" else file.stem
        text, found = function_study(own, core, file, data)
    else:
        text, found = (SHIPPED / f"{STARTER}.yaml").read_text(encoding="utf-8"), find_core(DEFAULT)
        text = text.replace(f"study: {STARTER}", f"study: {file.stem}")
    try:
        # `x` fails where the file exists: nothing of the user's is ever overwritten.
        with file.open("x", encoding="utf-8") as new:
            new.write(f"{MODELINE}{SCHEMA}\n{text}")
    except FileExistsError:
        raise StudyError(f"{file} is there already; name another file") from None
    except OSError as error:
        raise _unwritable_error(file, error) from None
    schema = file.parent / SCHEMA
    if schema.exists() and not is_ours(schema):
        return f"{schema} is not from here and stays as it is; triptych schema FILE writes another"
    _write_schema_file(schema, _schema_of(found))
    return f"{schema} written, for completion and checks in an editor"


def write_schema(file: Path, study: str | None) -> str:
    """Write the JSON Schema of study files.

    Args:
        file: File to write: a new one, or a schema that was written here.
        study: Study whose plugins' fields are in it too; None = without any.

    Returns:
        The line that a study needs as its first.

    Raises:
        StudyError: The study is wrong, or the file is something else's or can't be written.
    """
    text = schema_text(study)
    if file.exists() and not is_ours(file):
        raise StudyError(f"{file} is there already and no schema of ours; name another file")
    _write_schema_file(file, text)
    found = find_study(study) if study else file
    return schema_modeline(file, file if found.parent == SHIPPED else found)


def schema_text(study: str | None = None) -> str:
    """Return the JSON Schema of study files, as it is written.

    Args:
        study: Study whose plugins' fields are in it too; None = without any.

    Raises:
        StudyError: The study is wrong.
    """
    core = load_study(find_study(study)).core if study else find_core(DEFAULT)
    return _schema_of(core)


def _schema_of(core: Core) -> str:
    return json.dumps(study_schema(core), ensure_ascii=False, separators=(",", ":")) + "\n"


def schema_modeline(schema: Path, study: Path) -> str:
    """Return the first line of a study, by which an editor finds the schema."""
    # Relative to the study, as editors read it, and with slashes on Windows too.
    return MODELINE + Path(os.path.relpath(schema, study.parent)).as_posix()


def is_ours(file: Path) -> bool:
    """Check whether a file is a schema that was written here, of whatever version."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and str(content.get("$comment", "")).startswith(WRITTEN_BY)


def _write_schema_file(file: Path, text: str) -> None:
    try:
        write_text_atomically(file, text)
    except OSError as error:
        raise _unwritable_error(file, error) from None


def _unwritable_error(file: Path, error: OSError) -> StudyError:
    return StudyError(f"{file}: cannot be written: {error.strerror}")
