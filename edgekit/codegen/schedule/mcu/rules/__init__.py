"""Rules of the schedule for microcontrollers, by family of kernels."""
