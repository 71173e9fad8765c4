"""Kinds of test utterances that a report tells apart."""

from collections.abc import Iterator

from msa_core.analysis.slices import conflict_tags, length_tags, strength_tags
from msa_core.data.dataset import Dataset


def tag_test(dataset: Dataset) -> dict[str, tuple[str, ...]]:
    """Map each dimension to the tag of every test utterance, where the utterances differ in it."""
    return dict(_differing_tags(dataset))


def _differing_tags(dataset: Dataset) -> Iterator[tuple[str, tuple[str, ...]]]:
    test, scheme = dataset.test, dataset.splits.scheme
    found = {"sentiment strength": strength_tags(test.labels, scheme)}
    for name in dataset.modalities:
        if name in test.lengths:
            found[f"{name} length"] = length_tags(test.lengths[name])
    for name in dataset.modalities:
        if name in test.unimodal_labels:
            found[f"{name} conflict"] = conflict_tags(test.labels, test.unimodal_labels[name])
    for dimension, tags in found.items():
        if len(set(tags)) > 1:
            yield dimension, tuple(str(tag) for tag in tags)
