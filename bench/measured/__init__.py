"""The networks behind published measurements, described once: as lists of operators, and as Keras models."""
