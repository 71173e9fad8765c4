"""A results folder on disk: ledger to results, checkpoints, history, embargo of test metrics."""
