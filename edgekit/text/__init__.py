"""Text for people: safe for terminals, commands to continue with, refusals of the operating system."""
