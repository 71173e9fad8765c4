"""Help made from declarations: JSON Schema, topics, the generated page `docs/studies.md`."""
