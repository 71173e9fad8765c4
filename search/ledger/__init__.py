"""The ledger: its lines, its lock, and what is repaired in it."""
