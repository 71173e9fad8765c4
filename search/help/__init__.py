"""Help for writing a study file: `init`, `schema` and `explain`."""
