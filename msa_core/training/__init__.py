"""Training of a pack: epochs, early stopping, failures, evaluation."""
