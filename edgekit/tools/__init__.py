"""External programs: what there is, how to find and install it."""
