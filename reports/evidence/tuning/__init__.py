"""Evidence of the tuning: candidates, importance of fields, best so far, fronts, curves."""
