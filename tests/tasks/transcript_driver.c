/* Calls transcriber.c: argv holds a manifest with the task, the tensors and the clips, the output's type (enum
 * edgekit_type), scale and zero point, how many clips there are, and at last the output's shape. The outputs of all
 * clips come from standard input; for each clip, its text and labels go out. Status 8: that allocates.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decider_stubs.h"
#include "sound_source.h"

static struct sound_input sound;

const struct sound_input *sound_source(edgekit_instance *instance)
{
    (void)instance;
    return &sound;
}

int main(int argc, char **argv)
{
    static char text[1 << 16], error[200];
    static const size_t sizes[] = {[EDGEKIT_FLOAT32] = 4, [EDGEKIT_INT8] = 1, [EDGEKIT_UINT8] = 1, [EDGEKIT_INT16] = 2};
    struct json j;
    int64_t shape[8], length = 1, step = 0, rate = 1;
    FILE *file = fopen(argv[1], "rb");
    size_t size = file ? fread(text, 1, sizeof text, file) : 0;
    struct described outputs[1] = {
        {.tensor = {.type = atoi(argv[2]), .scale = atof(argv[3]), .zero_point = atoll(argv[4])}}};
    struct port ports[1] = {{0}};
    edgekit_instance instance = {0};
    if (!file || !json_read(&j, text, size, error, sizeof error))
        return 3;
    fclose(file);
    uint32_t v = json_get(&j, 0, "task"), s = json_get(&j, 0, "clips");
    json_integer(&j, json_get(&j, s, "length"), &length);
    json_integer(&j, json_get(&j, s, "step"), &step);
    json_integer(&j, json_get(&j, s, "rate"), &rate);
    sound.length = (uint32_t)length;
    sound.step = (uint32_t)step;
    sound.rate = (uint32_t)rate;
    struct edgekit_tensor *t = &outputs[0].tensor;
    size_t bytes = sizes[t->type];
    t->shape = shape;
    for (int i = 6; i < argc; i++)
        bytes *= (size_t)(shape[t->rank++] = atoll(argv[i]));
    instance.output = outputs;
    instance.engine.output = ports;
    ports[0].data = malloc(bytes);
    state = task_transcriber.read(&instance, &j, v);
    int status = state ? 0 : 2;
    uint32_t clips = (uint32_t)atoi(argv[5]);
    for (uint32_t i = 0; i < clips && !status; i++) {
        struct edgekit_transcript_part part = {.size = sizeof part, .clip = i, .last = i + 1 == clips};
        status = fread(ports[0].data, 1, bytes, stdin) != bytes;
        long before = allocations;
        if (!status && edgekit_transcript(&instance, &part))
            status = 1;
        if (allocations > before)
            status = 8;
        printf("text %s\n", status ? "" : part.text);
        for (uint32_t k = 0; !status && k < part.count; k++)
            printf("label %u %a %a %s\n", part.labels[k].number, (double)part.labels[k].score,
                   (double)part.labels[k].start, part.labels[k].label);
    }
    if (state)
        task_transcriber.free(state);
    json_free(&j);
    free(ports[0].data);
    return status;
}
