"""The training core: torch and numpy; knows nothing of Ray, Optuna, MLflow or pandas."""
