"""Evidence of designs with factors: effects, Shapley values, matrices, the ablation path."""
