"""From results to numbers with their uncertainty: pure functions on the results table."""
