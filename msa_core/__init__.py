"""Triptych: the core that ships: torch and numpy, no Ray, Optuna, MLflow or pandas."""
