"""Results tables made without a training."""
