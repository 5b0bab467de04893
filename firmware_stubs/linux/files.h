/* Files of bundles, which are not trusted: links, devices and FIFOs are refused, and all sizes bounded. */
#ifndef EDGEKIT_FILES_H
#define EDGEKIT_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mapped {
    uint8_t *bytes;
    size_t size;
};

/* Map a plain file; private and writable, so that changes stay in memory. False, with one line in `error`, otherwise,
   and where it is empty or has more than `most` bytes. */
bool file_map(struct mapped *mapped, const char *path, size_t most, char *error, size_t error_size);
void file_unmap(struct mapped *mapped);

/* Write "folder/name"; false where it does not fit. */
bool file_path(char *path, size_t size, const char *folder, const char *name);

#endif
