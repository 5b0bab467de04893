"""Estimates calibrated on measured boards: work of operators, coefficients as data, intervals with a known coverage."""
