"""Untrusted files: bounded reading, temporary folders, archives, documents."""
