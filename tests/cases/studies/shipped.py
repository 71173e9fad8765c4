"""The texts of shipped studies."""

from spaces.study_file.load import SHIPPED

# Of the core that ships: a text of these can stand in any folder.
MSA_TEXTS = {
    path.stem: text
    for path in sorted(SHIPPED.glob("*.yaml"))
    if "\ncore:" not in (text := path.read_text(encoding="utf-8"))
}
