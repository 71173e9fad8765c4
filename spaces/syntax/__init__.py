"""The syntax of a study file: YAML with line numbers, and constraints on fields."""
