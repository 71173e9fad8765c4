"""Triptych: the engine, from a plan to finished cells in the ledger."""
