"""Statistics on plain arrays: paired tests, resampling, ranks over data sets."""
