"""Estimates of what a study will take, from its ledger or from micro-runs."""
