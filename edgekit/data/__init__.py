"""Samples: loading, checking, preprocessing."""
