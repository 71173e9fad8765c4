"""Fusions: from the vectors of the modalities to one vector."""
