/* Calls segmenter.c: argv holds a manifest with the task, the output's type (enum edgekit_type), scale and zero point,
 * the picture's width and height; of each direction, across first, what lies before the picture and its size with that,
 * its size when it was resized, where that begins in the input, what is cut off before it, and the input's size; at
 * last the output's shape. The output comes from standard input, the mask goes out. Status 8: that allocates.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decider_stubs.h"
#include "picture_source.h"

static struct picture_room room;

const struct picture_room *picture_source_room(edgekit_instance *instance)
{
    (void)instance;
    return &room;
}

int main(int argc, char **argv)
{
    static char text[1 << 16], error[200];
    static const size_t sizes[] = {[EDGEKIT_FLOAT32] = 4, [EDGEKIT_FLOAT16] = 2, [EDGEKIT_INT32] = 4,
                                   [EDGEKIT_INT8] = 1,    [EDGEKIT_UINT8] = 1,   [EDGEKIT_INT16] = 2,
                                   [EDGEKIT_INT64] = 8};
    struct json j;
    uint32_t at[14] = {0};
    FILE *file = fopen(argv[1], "rb");
    size_t size = file ? fread(text, 1, sizeof text, file) : 0;
    if (!file || !json_read(&j, text, size, error, sizeof error))
        return 3;
    fclose(file);
    for (int i = 0; i < 14; i++)
        at[i] = (uint32_t)atoi(argv[5 + i]);
    int64_t taken[4] = {1, at[13], at[7], 3}, shape[8];
    struct described inputs[1] = {{.tensor = {.type = EDGEKIT_UINT8, .rank = 4, .shape = taken}}};
    struct described outputs[1] = {
        {.tensor = {.type = atoi(argv[2]), .scale = atof(argv[3]), .zero_point = atoll(argv[4]), .shape = shape}}};
    struct port ports[1] = {{0}};
    edgekit_instance instance = {.input = inputs, .output = outputs, .engine.output = ports};
    struct edgekit_tensor *t = &outputs[0].tensor;
    size_t bytes = sizes[t->type];
    for (int i = 19; i < argc; i++)
        bytes *= (size_t)(shape[t->rank++] = atoll(argv[i]));
    room = (struct picture_room){
        .width = at[0],
        .height = at[1],
        .place = {.pad_x = at[2],
                  .whole_x = at[3],
                  .width = at[4],
                  .x = at[5],
                  .left = at[6],
                  .pad_y = at[8],
                  .whole_y = at[9],
                  .height = at[10],
                  .y = at[11],
                  .top = at[12]},
    };
    ports[0].data = malloc(bytes);
    size_t pixels = (size_t)room.width * room.height;
    uint8_t *mask = malloc(pixels);
    state = task_segmenter.read(&instance, &j, json_get(&j, 0, "task"));
    int status = !state ? 2 : fread(ports[0].data, 1, bytes, stdin) != bytes;
    long before = allocations;
    if (!status && edgekit_mask(&instance, mask, room.width))
        status = 1;
    if (!status && allocations > before)
        status = 8;
    if (!status)
        fwrite(mask, 1, pixels, stdout);
    if (state)
        task_segmenter.free(state);
    json_free(&j);
    free(ports[0].data);
    free(mask);
    return status;
}
