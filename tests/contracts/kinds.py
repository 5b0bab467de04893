"""What backends take, for tests that run on all of them."""

INTEGERS_ONLY = ("da4ml", "edgetpu", "hls4ml", "overlay", "vela")
"""Backends that take no float networks."""
