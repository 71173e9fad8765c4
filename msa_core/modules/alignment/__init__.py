"""Alignment of modality pairs: distances between two representations, and the pairs they act on."""
