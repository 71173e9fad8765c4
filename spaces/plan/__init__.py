"""The plan: arms on the data at hand, tunings, budgets, seeds; and what seeds can show."""
