"""Figures that say how good, or how alike, results are."""
