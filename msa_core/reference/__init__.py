"""Where the modules come from: citations, formulas, and the generated page `docs/modules.md`."""
