"""The schedule for microcontrollers: calls of the C kernel library over one arena."""
