"""What a terminal shows of a run: progress, forecast, `triptych status`."""
