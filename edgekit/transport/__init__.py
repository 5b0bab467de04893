"""Connections to devices."""
