"""Analyses of data and of predictions: nothing here changes a training."""
