"""Feature files and generated data, as checked splits of numpy arrays."""
