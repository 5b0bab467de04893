/* Calls picture.c: argv holds the network's width, height, channels, channels_first, bgr, fit, short side, fill, and
 * the picture's width, height, and kind of pixels; the picture comes from standard input, the network's input goes out.
 */
#include <stdio.h>
#include <stdlib.h>

#include "picture.h"

int main(int argc, char **argv)
{
    uint32_t n[12] = {0};
    static uint8_t values[3 * 256];
    struct picture_room room = {0};
    char error[200];
    for (int i = 1; i < argc && i <= 12; i++)
        n[i - 1] = (uint32_t)strtoul(argv[i], NULL, 10);
    struct picture_input in = {n[0], n[1], n[2], n[3], n[4], (enum picture_fit)n[5], n[6], (uint8_t)n[7], 1, values};
    for (int i = 0; i < 3 * 256; i++)
        values[i] = (uint8_t)i;
    size_t stride = (size_t)n[8] * (n[10] >= EDGEKIT_RGBA ? 4 : n[10] == EDGEKIT_GREY ? 1 : 3);
    size_t made = (size_t)n[0] * n[1] * n[2], bytes = stride * n[9];
    uint8_t *data = malloc(bytes ? bytes : 1), *to = malloc(made);
    if (!data || !to || fread(data, 1, bytes, stdin) != bytes)
        return 9;
    struct edgekit_picture picture = {sizeof picture, data, n[8], n[9], stride - n[11], (int32_t)n[10]};
    for (int twice = 0; twice < 2; twice++) /* the second time in the room of the first */
        if (!picture_set(&in, &room, &picture, to, error, sizeof error)) {
            fprintf(stderr, "%s\n", error);
            return 1;
        }
    fwrite(to, 1, made, stdout);
    picture_free(&room);
    free(data);
    free(to);
    return 0;
}
