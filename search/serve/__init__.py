"""A study's report on loopback, renewed while the study runs: `triptych serve`."""
