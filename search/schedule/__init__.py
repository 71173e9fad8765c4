"""What is trained next: arms, candidates, budgets, retries. Free of Ray."""
