"""Files that others may have written: bounded reading, temporary folders, archives, documents."""
