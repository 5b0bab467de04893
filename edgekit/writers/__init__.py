"""Writers: convert a Graph to another framework's file, for tools that do not read ``.tflite``."""
