"""From results to a table with its uncertainty. Imports none of the other packages."""
