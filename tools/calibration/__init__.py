"""Calibration of the cost models on published measurements."""
