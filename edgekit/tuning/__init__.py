"""Tuning: other tiles and schedules for a compiled network's kernels, measured against the rules' own."""
