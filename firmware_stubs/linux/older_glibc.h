/* Programs and libraries that glibc 2.29 can load, made with a newer glibc for AArch64.
 *
 * glibc 2.33 and 2.34 gave functions that are as old as the port new versions: they moved into libc from libdl and
 * libpthread, stat became a function, and the start-up code calls no constructors. Each is asked for here by its first
 * version, which every later glibc has, too. The compiler is told to include this file first (-include), to wrap
 * __libc_start_main, and to name libdl and libpthread, which older systems have these functions in.
 */
#ifndef EDGEKIT_OLDER_GLIBC_H
#define EDGEKIT_OLDER_GLIBC_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <sys/stat.h>

#define EK_FIRST_VERSION(name) __asm__(".symver " #name ", " #name "@GLIBC_2.17")

EK_FIRST_VERSION(dladdr);
EK_FIRST_VERSION(dlclose);
EK_FIRST_VERSION(dlerror);
EK_FIRST_VERSION(dlopen);
EK_FIRST_VERSION(dlsym);
EK_FIRST_VERSION(glob);
EK_FIRST_VERSION(pthread_create);
EK_FIRST_VERSION(pthread_join);
EK_FIRST_VERSION(__fxstat);
EK_FIRST_VERSION(__lxstat);
EK_FIRST_VERSION(__xstat);

int __fxstat(int version, int file, struct stat *status);
int __lxstat(int version, const char *path, struct stat *status);
int __xstat(int version, const char *path, struct stat *status);

/* 0 is AArch64's version of struct stat. */
#define fstat(file, status) __fxstat(0, file, status)
#define lstat(path, status) __lxstat(0, path, status)
#define stat(path, status) __xstat(0, path, status)

#endif
