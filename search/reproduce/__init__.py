"""Numbers of a study trained again: `triptych reproduce`."""
