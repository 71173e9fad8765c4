"""The cores that a study brings itself: a Python function, or a command."""
