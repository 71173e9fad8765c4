"""Designs: from components and factors to the arms of a study."""
