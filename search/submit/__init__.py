"""Studies on a Ray cluster: staged, submitted as jobs, mirrored to storage."""
