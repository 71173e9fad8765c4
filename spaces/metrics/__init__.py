"""Tasks and their metrics: what predictions and labels are, and how they are scored."""
