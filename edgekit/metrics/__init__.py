"""Measures of how good, or how similar, results are."""
