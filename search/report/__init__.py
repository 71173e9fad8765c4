"""The report of a results folder: written, attached, exported."""
