"""The configuration: every field of a training with its bounds, and the rules between fields."""
