"""The search for recipes: the choices, the cost of a candidate, and which candidates are worth keeping."""
