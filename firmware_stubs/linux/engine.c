#include "engine.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int engine_fail(struct engine *engine, int status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(engine->error, sizeof engine->error, format, arguments);
    va_end(arguments);
    return status;
}

void engine_write(struct engine *engine, const uint8_t *sample)
{
    for (size_t i = 0; i < engine->input_count; sample += engine->input[i++].bytes)
        if (engine->input[i].bytes) /* no memory is copied from or to NULL */
            memcpy(engine->input[i].data, sample, engine->input[i].bytes);
}

void engine_read(const struct engine *engine, uint8_t *sample)
{
    for (size_t i = 0; i < engine->output_count; sample += engine->output[i++].bytes)
        if (engine->output[i].bytes)
            memcpy(sample, engine->output[i].data, engine->output[i].bytes);
}

bool engine_ports(struct engine *engine, size_t inputs, size_t outputs)
{
    engine->input = calloc(inputs + outputs + 1, sizeof *engine->input);
    if (!engine->input) {
        engine_fail(engine, EXIT_OTHER, "there is no memory for the network's ports");
        return false;
    }
    engine->output = engine->input + inputs;
    engine->input_count = inputs;
    engine->output_count = outputs;
    return true;
}

void engine_close(struct engine *engine)
{
    if (engine->close)
        engine->close(engine);
    free(engine->input);
    engine->input = engine->output = NULL;
    engine->input_count = engine->output_count = 0;
    engine->close = NULL;
}
