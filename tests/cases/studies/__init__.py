"""Studies, packs and ledgers made for tests."""
