"""Model modules, one file a family, each with a plain registry beside it."""
