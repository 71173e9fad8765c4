"""Figures of the page, as plotly JSON."""
