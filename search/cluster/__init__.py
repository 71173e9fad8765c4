"""Ray clusters: what their nodes can do, studies handed to them, results kept elsewhere."""
