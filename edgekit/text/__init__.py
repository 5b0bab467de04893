"""Words for people: safe for terminals, command lines to go on with, what the operating system refuses."""
