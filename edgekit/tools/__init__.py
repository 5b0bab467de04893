"""External programs: how to find and install them."""
