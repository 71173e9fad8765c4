"""Many cells in one step: pack keys, stacked parameters, the vectorised step, checkpoints."""
