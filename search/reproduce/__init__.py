"""A number made again: `triptych reproduce`."""
