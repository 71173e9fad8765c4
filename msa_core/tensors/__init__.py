"""Tensor plumbing: parameters, pytrees, random streams and recorded operations."""
