#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

bool file_map(struct mapped *mapped, const char *path, size_t most, char *error, size_t error_size)
{
    struct stat status;
    memset(mapped, 0, sizeof *mapped);
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0 || fstat(file, &status)) {
        snprintf(error, error_size, "cannot read %s: %s", path, strerror(errno));
    } else if (!status.st_size) {
        snprintf(error, error_size, "%s is empty", path);
    } else if (!S_ISREG(status.st_mode) || status.st_size < 0 || (uint64_t)status.st_size > most) {
        snprintf(error, error_size, S_ISREG(status.st_mode) ? "%s is too large" : "%s is not a plain file", path);
    } else {
        void *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
        if (bytes == MAP_FAILED) {
            snprintf(error, error_size, "cannot read %s: %s", path, strerror(errno));
        } else {
            mapped->bytes = bytes;
            mapped->size = (size_t)status.st_size;
        }
    }
    if (file >= 0)
        close(file);
    return mapped->bytes != NULL;
}

void file_unmap(struct mapped *mapped)
{
    if (mapped->bytes)
        munmap(mapped->bytes, mapped->size);
    memset(mapped, 0, sizeof *mapped);
}

bool file_path(char *path, size_t size, const char *folder, const char *name)
{
    int length = snprintf(path, size, "%s/%s", folder, name);
    return length >= 0 && (size_t)length < size;
}
