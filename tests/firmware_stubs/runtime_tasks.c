#include "runtime_tasks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 5, HEIGHT = 7, SAMPLES = 2000, RATE = 8000, MOST = 3, MOST_CELLS = 4 };

/* A status of the library: 1 where it is OK, 0 where a line says why not, and -1 where none does. */
static int told(edgekit_instance *network, int status)
{
    if (!status)
        return 1;
    const char *why = edgekit_error(network);
    if (strlen(why) >= 10 && !strchr(why, '\n'))
        return 0;
    fprintf(stderr, "status %d without a line of its own: %s\n", status, why);
    return -1;
}

/* Decisions of all kinds, into memory that is as large as the library is told. */
static int read_all(edgekit_instance *network)
{
    uint32_t count = 0, right = 0;
    struct edgekit_class *classes = malloc(MOST * sizeof *classes);
    struct edgekit_detection *found = malloc(MOST * sizeof *found);
    struct edgekit_neighbour *near = malloc(MOST * sizeof *near);
    float *values = malloc(MOST * sizeof *values);
    uint8_t *mask = malloc(WIDTH * HEIGHT);
    struct edgekit_anomaly_sum sum = {.size = sizeof sum};
    int status[] = {
        told(network, edgekit_classes(network, classes, MOST, &count)),
        told(network, edgekit_detections(network, found, MOST, &count)),
        told(network, edgekit_neighbours(network, near, MOST, &count)),
        told(network, edgekit_embedding(network, values, MOST, &count)),
        told(network, edgekit_values(network, values, MOST, &count, NULL)),
        told(network, edgekit_mask(network, mask, WIDTH)),
        told(network, edgekit_anomaly(network, &sum)),
    };
    for (size_t i = 0; i < sizeof status / sizeof *status; i++)
        if (status[i] < 0 || count > MOST)
            right = UINT32_MAX;
    for (uint32_t i = 0; status[5] > 0 && i < WIDTH * HEIGHT; i++)
        if (mask[i] != EDGEKIT_UNSEEN && !edgekit_mask_label(network, mask[i]))
            right = UINT32_MAX;
    for (uint32_t i = 0; status[0] > 0 && i < count && i < MOST; i++)
        right += strlen(classes[i].label) == 0; /* the label is there to be read */
    free(classes);
    free(found);
    free(near);
    free(values);
    free(mask);
    return right == UINT32_MAX ? -1 : 0;
}

int tasks_decide(edgekit_instance *network)
{
    static const char text[] = "Turn the lights on, playing  \303\251\t42 [MASK]";
    static const struct edgekit_cell cells[MOST_CELLS] = {{41.5, NULL}, {0, "green"}, {0, "S"}, {7, NULL}};
    uint8_t *pixels = malloc(WIDTH * HEIGHT * 3);
    int16_t *heard = malloc(SAMPLES * sizeof *heard);
    for (int i = 0; i < WIDTH * HEIGHT * 3; i++)
        pixels[i] = (uint8_t)(i * 37);
    for (int i = 0; i < SAMPLES; i++)
        heard[i] = (int16_t)((i % 16 - 8) * 1000);
    const struct edgekit_picture picture = {sizeof picture, pixels, WIDTH, HEIGHT, WIDTH * 3, EDGEKIT_RGB};
    const struct edgekit_sound sound = {sizeof sound, heard, SAMPLES, RATE, 1, EDGEKIT_PCM16, 0};
    int taken = 0;
    for (uint32_t kind = 0; taken >= 0 && kind < 3 + MOST_CELLS; kind++) {
        int status = told(network, kind == 0   ? edgekit_set_picture(network, &picture)
                                   : kind == 1 ? edgekit_set_sound(network, &sound)
                                   : kind == 2 ? edgekit_set_text(network, text, sizeof text - 1)
                                               : edgekit_set_row(network, cells, kind - 2));
        if (status > 0 && (told(network, edgekit_run(network)) < 0 || read_all(network) < 0))
            status = -1;
        taken = status < 0 ? -1 : taken + status;
    }
    free(pixels);
    free(heard);
    return taken;
}
