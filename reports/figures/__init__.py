"""The data of figures, without drawing: what the page and the paper both show."""
