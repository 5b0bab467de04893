#include "litert_api.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

/* A function pointer from dlsym, without the cast that ISO C forbids. */
static bool resolve(void *library, const char *name, void *function, char *error, size_t size)
{
    void *symbol = dlsym(library, name);
    if (!symbol) {
        snprintf(error, size, "the LiteRT library has no %s: it is not version " LITERT_VERSION, name);
        return false;
    }
    memcpy(function, &symbol, sizeof symbol);
    return true;
}

bool litert_load(struct litert *api, void *library, char *error, size_t size)
{
#define LITERT_RESOLVE(name, arguments)                    \
    if (!resolve(library, #name, &api->name, error, size)) \
        return false;
    LITERT_FUNCTIONS(LITERT_RESOLVE)
#undef LITERT_RESOLVE
#define LITERT_RESOLVE(name)                               \
    if (!resolve(library, #name, &api->name, error, size)) \
        return false;
    LITERT_DESTROYERS(LITERT_RESOLVE)
#undef LITERT_RESOLVE
    return true;
}
