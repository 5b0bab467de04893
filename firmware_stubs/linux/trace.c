#include "trace.h"

#include <stdio.h>

static const char *source_name(int source)
{
    static const char *const names[] = {"litert", "interpreter", "delegate", "compiled"};
    return source >= SOURCE_LITERT && source <= SOURCE_COMPILED ? names[source] : names[SOURCE_DELEGATE];
}

static void write_string(FILE *file, const char *text)
{
    fputc('"', file);
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            fprintf(file, "\\%c", c);
        else if (c < 0x20 || c >= 0x7f)
            fprintf(file, "\\u%04x", c);
        else
            fputc(c, file);
    }
    fputc('"', file);
}

static void write_numbers(FILE *file, const double *values, unsigned int count)
{
    fputc('[', file);
    for (unsigned int i = 0; i < count; i++)
        fprintf(file, "%s%.10g", i ? "," : "", values[i]);
    fputc(']', file);
}

static void write_profile(FILE *file, const struct profile *p)
{
    fprintf(file, ",\n\"profiled_inferences\":%u,\"events\":[", p->inferences);
    for (unsigned int i = 0; i < p->event_count; i++) {
        const struct profile_event *e = &p->event[i];
        fputs(i ? ",\n{\"tag\":" : "\n{\"tag\":", file);
        write_string(file, e->tag);
        if (e->threads)
            fprintf(file, ",\"threads\":%u", e->threads);
        fprintf(file, ",\"node\":%lld,\"source\":\"%s\",\"type\":%d,\"start_us\":%llu,\"end_us\":%llu,\"us\":%.3f}",
                (long long)e->node, source_name(e->source), e->type, (unsigned long long)e->start_us,
                (unsigned long long)(e->start_us ? e->start_us + e->elapsed_us : 0), e->us);
    }
    fputs("],\n\"readings_ns\":", file);
    write_numbers(file, p->reading_ns, p->reading_count);
}

bool trace_write(const struct trace *trace, const char *path)
{
    FILE *file = fopen(path, "w");
    if (!file)
        return false;
    fputs("{\"schema\":1,\"runtime\":", file);
    write_string(file, trace->runtime);
    fprintf(file, ",\"threads\":%d,\"init_ms\":%.3f,\n\"latency_ms\":", trace->threads, trace->init_ms);
    write_numbers(file, trace->latency_ms, trace->latency_count);
    write_profile(file, &trace->profile);
    fputs(",\n\"power\":", file);
    if (trace->power.scope) {
        fprintf(file, "{\"scope\":\"%s\",\"source\":", trace->power.scope);
        write_string(file, trace->power.source);
        fputs(",\"samples_w\":", file);
        write_numbers(file, trace->power.watt, trace->power.count);
        fputs("}", file);
    } else {
        fputs("null", file);
    }
    fprintf(file, ",\n\"peak_ram_bytes\":%lld,\"machine\":{\"model\":", trace->peak_ram_bytes);
    write_string(file, trace->machine.model);
    fputs(",\"cpu\":", file);
    write_string(file, trace->machine.cpu);
    fprintf(file, ",\"clock_mhz\":%.0f}}\n", trace->machine.clock_mhz);
    bool ok = !ferror(file);
    return fclose(file) == 0 && ok;
}
