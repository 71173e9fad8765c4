"""The engine of a run: Ray starts, hands out packs, watches workers. Ray is imported here."""
