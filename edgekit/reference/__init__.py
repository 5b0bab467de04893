"""Oracles: what a network's results should be, independent of the artifact that is judged."""
