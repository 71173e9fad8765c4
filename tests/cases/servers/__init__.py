"""Servers and hosts that tests start, break and stop."""
