"""Contrastive and information-theoretic terms: encoders' outputs against each other or a label."""
