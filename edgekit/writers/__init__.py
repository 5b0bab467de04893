"""Writers: Graph -> another framework's file, for tools that take no ``.tflite``."""
