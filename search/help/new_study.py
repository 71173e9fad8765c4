"""What `triptych init` and `triptych schema` write: a study to start from, and its JSON Schema."""

import json
import os
from pathlib import Path

from spaces.errors import StudyError
from spaces.help.schema import OURS, study_schema
from spaces.study_file.load import SHIPPED, find_study, load_study

STARTER = "planted-quick"
SCHEMA = "study.schema.json"
MODELINE = "# yaml-language-server: $schema="


def write_starter(file: Path) -> str:
    """Write the starter study to a new file, and the schema that an editor needs beside it.

    Returns:
        What a person should know of the schema.

    Raises:
        StudyError: the file is there already, or its folder is not.
    """
    text = (SHIPPED / f"{STARTER}.yaml").read_text(encoding="utf-8")
    text = text.replace(f"study: {STARTER}", f"study: {file.stem}")
    try:
        with file.open("x", encoding="utf-8") as new:
            new.write(f"{MODELINE}{SCHEMA}\n{text}")
    except FileExistsError:
        raise StudyError(f"{file} is there already; name another file") from None
    except OSError as error:
        raise _unwritable(file, error) from None
    schema = file.parent / SCHEMA
    if schema.exists() and not is_ours(schema):
        return f"{schema} is not from here and stays as it is; triptych schema FILE writes another"
    _write_whole(schema, schema_text())
    return f"{schema} written, for completion and checks in an editor"


def write_schema(file: Path, study: str | None) -> str:
    """Write the JSON Schema of study files.

    Args:
        file: new, or a schema of ours.
        study: a study whose plugins' fields are in it too.

    Returns:
        The line that a study needs as its first.

    Raises:
        StudyError: the study is wrong, or the file is something else's or can't be written.
    """
    text = schema_text(study)
    if file.exists() and not is_ours(file):
        raise StudyError(f"{file} is there already and no schema of ours; name another file")
    _write_whole(file, text)
    found = find_study(study) if study else file
    return modeline(file, file if found.parent == SHIPPED else found)


def schema_text(study: str | None = None) -> str:
    """The JSON Schema of study files, as it is written.

    Args:
        study: a study whose plugins' fields are in it too.

    Raises:
        StudyError: the study is wrong.
    """
    if study:
        load_study(find_study(study))
    return json.dumps(study_schema(), ensure_ascii=False, separators=(",", ":")) + "\n"


def modeline(schema: Path, study: Path) -> str:
    """The first line of a study, by which an editor finds the schema."""
    return MODELINE + Path(os.path.relpath(schema, study.parent)).as_posix()


def is_ours(file: Path) -> bool:
    """Whether a file is a schema that was written here, of whatever version."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and str(content.get("$comment", "")).startswith(OURS)


def _write_whole(file: Path, text: str) -> None:
    """Write a file whole or not at all."""
    part = file.with_name(f".{file.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(file)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise _unwritable(file, error) from None


def _unwritable(file: Path, error: OSError) -> StudyError:
    return StudyError(f"{file}: cannot be written: {error.strerror}")
