"""Files given on the command line, one a data set: `NAME=FILE`, or `FILE` if there is one."""

from collections.abc import Mapping, Sequence

from spaces.errors import StudyError
from spaces.study_file.load import Study


def files_by_set(study: Study, given: Sequence[str], option: str) -> Mapping[str, str]:
    """Name of a data set -> its file; the name is empty where there is one alone.

    Args:
        study: with its data sets.
        given: as on the command line.
        option: by which they were given, for messages.

    Raises:
        StudyError: a file that belongs to no set, or two to one.
    """
    files: dict[str, str] = {}
    several = set(study.sets) != {""}
    for one in given:
        name, separator, file = one.partition("=")
        if several and (not separator or name not in study.sets):
            raise StudyError(
                f"{option} {one}: the study has several data sets; write NAME=FILE, with one of "
                f"{', '.join(study.sets)}"
            )
        if not several and files:
            raise StudyError(f"{option} {one}: the study has one data set; give one file")
        files[name if several else ""] = file if several else one
    return files
