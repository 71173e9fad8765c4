"""How often a verdict is wrong, and how often an effect is found."""
