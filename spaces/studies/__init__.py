"""The shipped studies, and the training functions that they name."""
