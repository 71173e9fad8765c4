"""What a study will take: known before it is run, from its ledger or from a little of it."""
