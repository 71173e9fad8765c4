"""Training algorithms: which loss updates which parameters, in which order."""
