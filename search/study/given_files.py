"""Files given on the command line, one per data set: `NAME=FILE`, or `FILE` if there is one."""

from collections.abc import Mapping, Sequence

from spaces.errors import StudyError
from spaces.study_file.load import Study


def files_by_set(study: Study, given: Sequence[str], option: str) -> Mapping[str, str]:
    """Return the file of each data set by its name, which is empty if there is only one.

    Args:
        study: Study with its data sets.
        given: Values of the option on the command line.
        option: Name of the option, for messages.

    Raises:
        StudyError: A file that belongs to no set, or two for one.
    """
    files: dict[str, str] = {}
    several = set(study.sets) != {""}
    for one in given:
        name, separator, file = one.partition("=")
        # With one data set the whole value is the file: its path may hold a "=".
        if several and (not separator or name not in study.sets):
            raise StudyError(
                f"{option} {one}: the study has several data sets; write NAME=FILE, with one of "
                f"{', '.join(study.sets)}"
            )
        if not several and files:
            raise StudyError(f"{option} {one}: the study has one data set; give one file")
        files[name if several else ""] = file if several else one
    return files
