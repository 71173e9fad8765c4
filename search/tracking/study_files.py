"""What a report from MLflow alone needs beside the cells, as files of the study's run.

Imports no mlflow. What the plan alone says is there from the beginning (`facts.json`,
`test_labels.json`); what comes while the study runs or afterwards is here.
"""

import hashlib
import json
from pathlib import Path

from reports.encoding import information_to_plain, tags_to_plain
from reports.results import ResultsError
from search.results.folder import Manifest, read_manifest
from search.results.shared_information import read_information
from search.results.unblinding_log import opening_sentences


def late_files(folder: Path, manifest: Manifest) -> dict[str, str]:
    """Name -> text of each file of which there is something to say.

    Args:
        folder: of the results; what it knows of the test utterances counts.
        manifest: of the same plan.
    """
    try:
        tags = read_manifest(folder).tags
    except ResultsError:
        tags = manifest.tags
    content = {
        "tags.json": tags_to_plain(tags),
        "modalities.json": information_to_plain(read_information(folder, manifest.versions.data)),
        "openings.json": list(opening_sentences(folder, manifest.size)),
    }
    return {name: json.dumps(value, indent=1) for name, value in content.items() if value}


def digest_of(files: dict[str, str]) -> str:
    """Names what `late_files` gave."""
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:16]
