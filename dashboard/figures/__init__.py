"""Plotly figures, each made from a table of `dashboard.frames`."""
