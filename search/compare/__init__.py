"""Two studies against each other: `triptych compare`."""
