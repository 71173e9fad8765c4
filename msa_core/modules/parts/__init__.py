"""Parts that several modules are built from: attention, dropout, linear layers, similarities."""
