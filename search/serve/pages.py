"""The HTML around the report: a slim bar, and the report in a frame that renews itself."""

from html import escape
from importlib.resources import files

HEAD = '<!doctype html><html lang="en"><head><meta charset="utf-8">'
VIEW = '<meta name="viewport" content="width=device-width, initial-scale=1">'


def outer_page(study: str) -> str:
    """Return the page that a browser opens, with the name of the study."""
    name = escape(study)
    return (
        f"{HEAD}{VIEW}<title>{name} - Triptych</title>"
        '<link rel="stylesheet" href="/serve.css"></head><body>'
        '<header><h1 id="study">' + name + "</h1>"
        '<progress id="progress" max="1" value="0" aria-label="cells finished"></progress>'
        '<span id="count"></span><span id="sentence" role="status"></span>'
        '<span id="sealed" hidden>test metrics are sealed until the study is finished</span>'
        "<nav>"
        '<a id="download" href="/cells.csv" download hidden>cells.csv</a>'
        '<a href="/mlflow" target="_blank" rel="noopener">MLflow</a>'
        '<a href="/optuna" target="_blank" rel="noopener">Optuna</a>'
        "</nav></header>"
        '<p id="problem" role="alert" hidden></p>'
        '<main id="frames"><p id="empty">Nothing has finished yet. The report appears here by '
        "itself.</p></main>"
        '<noscript><p>Without scripts: <a href="/report.html">the report</a>; reload the page for '
        "a newer one.</p></noscript>"
        '<script src="/serve.js"></script></body></html>\n'
    )


def message_page(title: str, message: str, *, reload: bool = False) -> str:
    """Return a page with one sentence.

    Args:
        title: Title of the page.
        message: The sentence.
        reload: Whether the browser loads the page again in a second.
    """
    refresh = '<meta http-equiv="refresh" content="1">' if reload else ""
    return (
        f"{HEAD}{VIEW}{refresh}<title>{escape(title)}</title>"
        '<link rel="stylesheet" href="/serve.css"></head>'
        f'<body><p id="empty">{escape(message)}</p></body></html>\n'
    )


def read_own_file(name: str) -> bytes:
    """Read a file of this package: `serve.js` or `serve.css`."""
    return files("search.serve").joinpath(name).read_bytes()
