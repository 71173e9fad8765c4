"""The engine of a run: starts Ray, assigns packs, watches workers. Ray is imported here."""
