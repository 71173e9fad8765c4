"""Benchmarks: programs that print ratios of one run; those of peers run in their environments."""
