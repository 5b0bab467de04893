"""A module that prints when it is imported, as some libraries do."""

print('{"exit": 7}', flush=True)
