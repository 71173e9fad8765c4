"""A worker at work: opens the data, trains a pack, reports its cells. Free of Ray."""
