#include "engine.h"

#include <stdarg.h>
#include <stdio.h>

int engine_fail(struct engine *engine, int status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(engine->error, sizeof engine->error, format, arguments);
    va_end(arguments);
    return status;
}
