"""From the name of a study to its plans, data and results folder."""
