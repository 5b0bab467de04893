#include "arguments.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char arguments_usage[] =
    "usage: edgekit-run --library LIB [--model M] --inputs IN --samples N [options]\n"
    "\n"
    "Runs a TFLite model with LiteRT's C interface, or a network that was compiled to a library of its own.\n"
    "  --library FILE     libLiteRt.so, or the compiled network\n"
    "  --model FILE       the model that LiteRT is to run; a compiled network needs none\n"
    "  --inputs FILE      per sample, each input's raw little-endian bytes, back to back\n"
    "  --samples N        samples in that file\n"
    "  --outputs FILE     write each sample's outputs, in the same form\n"
    "  --task FILE        the inputs are pictures for the task in this manifest, as decide.h describes them\n"
    "  --tokens FILE      with --task: the tokenizer of a task of texts; empty for others\n"
    "  --gallery FILE     with --task: the gallery of an embedding; empty for others\n"
    "  --fed FILE         with --task: write what the network is fed with\n"
    "  --decisions FILE   with --task: write what is decided\n"
    "  --repeat R         time R inferences, over the samples in turn (default 0)\n"
    "  --warmup W         untimed inferences before that (default 0)\n"
    "  --threads T        processor threads (default 1)\n"
    "  --profile          also observe every operator, in inferences of their own\n"
    "  --markers          AArch64 emulation: surround one inference with the marker system call 5000\n"
    "  --trace FILE       write what was observed, as JSON\n"
    "  --sysfs-root DIR   read power meters and the machine's description below DIR (default /)\n"
    "Exit status: 0 done, 2 wrong usage, 3 LiteRT refuses the model, 6 any other failure.\n";

static bool number(const char *text, long least, long *value)
{
    char *end;
    *value = strtol(text, &end, 10);
    return end != text && !*end && *value >= least && *value <= 1000000000;
}

bool arguments_parse(struct arguments *a, int argc, char **argv, char *error, size_t error_size)
{
    const struct {
        const char *name;
        const char **text;
        long *value, least;
        bool *flag;
    } options[] = {
        {"--library", &a->library, NULL, 0, NULL},     {"--model", &a->model, NULL, 0, NULL},
        {"--inputs", &a->inputs, NULL, 0, NULL},       {"--outputs", &a->outputs, NULL, 0, NULL},
        {"--trace", &a->trace, NULL, 0, NULL},         {"--sysfs-root", &a->root, NULL, 0, NULL},
        {"--task", &a->task, NULL, 0, NULL},           {"--tokens", &a->tokens, NULL, 0, NULL},
        {"--gallery", &a->gallery, NULL, 0, NULL},     {"--fed", &a->fed, NULL, 0, NULL},
        {"--decisions", &a->decisions, NULL, 0, NULL}, {"--samples", NULL, &a->samples, 1, NULL},
        {"--repeat", NULL, &a->repeat, 0, NULL},       {"--warmup", NULL, &a->warmup, 0, NULL},
        {"--threads", NULL, &a->threads, 1, NULL},     {"--profile", NULL, NULL, 0, &a->profile},
        {"--markers", NULL, NULL, 0, &a->markers},     {"--help", NULL, NULL, 0, &a->help},
    };
    const size_t count = sizeof options / sizeof *options;
    memset(a, 0, sizeof *a);
    a->threads = 1;
    a->root = "";
    for (int i = 1; i < argc; i++) {
        size_t k = 0;
        while (k < count && strcmp(argv[i], options[k].name))
            k++;
        if (k == count) {
            snprintf(error, error_size, "unknown option %s (see --help)", argv[i]);
            return false;
        }
        if (options[k].flag) {
            *options[k].flag = true;
        } else if (++i == argc) {
            snprintf(error, error_size, "%s needs a value", options[k].name);
            return false;
        } else if (options[k].text) {
            *options[k].text = argv[i];
        } else if (!number(argv[i], options[k].least, options[k].value)) {
            snprintf(error, error_size, "%s needs a whole number of at least %ld, not %s", options[k].name,
                     options[k].least, argv[i]);
            return false;
        }
    }
#ifdef EDGEKIT_STATIC_NETWORK /* the program is the network */
    if (!a->library)
        a->library = "";
#endif
    if (!a->help && (!a->library || !a->inputs || !a->samples)) {
        snprintf(error, error_size, "--library, --inputs and --samples are needed (see --help)");
        return false;
    }
    if (a->task && (!a->fed || !a->outputs || !a->decisions)) {
        snprintf(error, error_size, "--task needs --fed, --outputs and --decisions (see --help)");
        return false;
    }
    if (!strcmp(a->root, "/"))
        a->root = "";
    return true;
}
