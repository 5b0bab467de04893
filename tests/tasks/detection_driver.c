/* Calls head.c and detection.c: argv holds a manifest with a task, a file with the outputs' elements, the network's
 * width and height, the fit, and the picture's width and height; then for each output its type (enum edgekit_type),
 * elements, scale and zero point. Detections go to standard output, as they lie in memory but for their labels.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "head.h"

enum { MOST = 200 };

static char *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END))
        exit(9);
    *size = (size_t)ftell(file);
    rewind(file);
    char *data = malloc(*size + 1);
    if (!data || fread(data, 1, *size, file) != *size)
        exit(9);
    data[*size] = 0;
    fclose(file);
    return data;
}

static const size_t sizes[] = {[EDGEKIT_FLOAT32] = 4, [EDGEKIT_INT8] = 1, [EDGEKIT_UINT8] = 1, [EDGEKIT_INT16] = 2};

int main(int argc, char **argv)
{
    char error[200];
    size_t text_size, size, at = 0;
    struct json j;
    struct described output[8] = {0};
    void *data[8];
    struct detection_output outputs[8];
    edgekit_instance instance = {.output = output};
    char *text = read_file(argv[1], &text_size), *elements = read_file(argv[2], &size);
    struct picture_input in = {
        .width = (uint32_t)atoi(argv[3]), .height = (uint32_t)atoi(argv[4]), .fit = (enum picture_fit)atoi(argv[5])};
    uint32_t width = (uint32_t)atoi(argv[6]), height = (uint32_t)atoi(argv[7]);
    for (int i = 8; i + 3 < argc; i += 4) {
        size_t n = instance.engine.output_count++;
        struct edgekit_tensor *t = &output[n].tensor;
        *t = (struct edgekit_tensor){
            .type = atoi(argv[i]), .scale = atof(argv[i + 2]), .zero_point = atoll(argv[i + 3])};
        t->bytes = strtoul(argv[i + 1], NULL, 10) * sizes[t->type];
        if (at + t->bytes > size || !(data[n] = malloc(t->bytes)))
            return 9;
        memcpy(data[n], elements + at, t->bytes); /* memory of its own: what lies beyond it is not to be read */
        at += t->bytes;
        outputs[n] = (struct detection_output){t, data[n]};
    }
    struct detector d = {0};
    struct picture_place place;
    struct edgekit_detection found[MOST];
    int status = 0;
    if (!json_read(&j, text, text_size, error, sizeof error)) {
        status = 1;
    } else {
        if (!head_read(&d, &instance, &j, json_get(&j, 0, "task"))) {
            status = 2;
        } else {
            picture_place(&in, width, height, &place);
            for (int twice = 0; twice < 2; twice++) {
                uint32_t count = detection_run(&d, outputs, &place, width, height, found, MOST);
                for (uint32_t i = 0; twice && i < count; i++)
                    fwrite(found + i, offsetof(struct edgekit_detection, label), 1, stdout);
            }
        }
        detection_free(&d);
        json_free(&j);
    }
    for (size_t i = 0; i < instance.engine.output_count; i++)
        free(data[i]);
    free(text);
    free(elements);
    return status;
}
