"""Searching recipes: what there is to choose from, what a candidate costs, which are worth having."""
