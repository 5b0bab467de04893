/* Unpacks .edgekit files: zip archives, which are not trusted. */
#ifndef EDGEKIT_ARCHIVE_H
#define EDGEKIT_ARCHIVE_H

#include <stdbool.h>
#include <stddef.h>

/* Unpack what a network needs to run (manifest.json, model.tflite, and artifact/ without its folders) to a new folder,
   whose path is written to `folder`. On failure return false and leave one line in `error`, and no folder. */
bool archive_unpack(const char *path, char *folder, size_t folder_size, char *error, size_t error_size);

/* Remove that folder. */
void archive_remove(const char *folder);

#endif
