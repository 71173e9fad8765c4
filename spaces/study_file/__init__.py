"""The study file: its fields, load and write, overrides, claims, data source, plugin files."""
