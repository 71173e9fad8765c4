"""Search spaces: domains, conditional fields, candidates."""
