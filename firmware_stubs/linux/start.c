/* The way from the start-up code to main that glibc 2.17 knows, too; see older_glibc.h. */

#ifdef EDGEKIT_OLDER_GLIBC_H

typedef void (*callback)(void);
typedef int (*program)(int, char **, char **);

EK_FIRST_VERSION(__libc_start_main);

int __libc_start_main(program run, int count, char **arguments, callback init, callback fini, callback rtld_fini,
                      void *stack);
int __wrap___libc_start_main(program run, int count, char **arguments, callback init, callback fini, callback rtld_fini,
                             void *stack);

int __wrap___libc_start_main(program run, int count, char **arguments, callback init, callback fini, callback rtld_fini,
                             void *stack)
{
    return __libc_start_main(run, count, arguments, init, fini, rtld_fini, stack);
}

#else

typedef int nothing_to_do;

#endif
