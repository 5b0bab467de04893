/* Calls sound.c: argv holds a manifest with a task, the input's type (enum edgekit_type), scale and zero point; then
 * the sound's kind of samples, channels, rate, samples of each channel, and the clip; at last the input's shape.
 * Samples come from standard input, the network's input goes out. Before that it hears them at another rate. Status 8:
 * it allocates, though not for a rate that it hears first.
 */
#include <stdio.h>
#include <stdlib.h>

#include "allocations.h"
#include "sound.h"

static const size_t sizes[] = {[EDGEKIT_FLOAT32] = 4, [EDGEKIT_INT8] = 1, [EDGEKIT_UINT8] = 1, [EDGEKIT_INT16] = 2};

static char *read_all(FILE *file, size_t *size)
{
    size_t room = 1 << 16;
    char *data = malloc(room);
    *size = 0;
    for (size_t more; (more = fread(data + *size, 1, room - *size, file)); *size += more)
        if (*size + more == room && !(data = realloc(data, room *= 2)))
            exit(9);
    return data;
}

int main(int argc, char **argv)
{
    char error[200];
    struct json j;
    int64_t shape[8];
    struct sound_input in = {0};
    size_t text_size, size, bytes;
    FILE *file = fopen(argv[1], "rb");
    if (!file)
        return 9;
    char *text = read_all(file, &text_size), *samples = read_all(stdin, &size);
    fclose(file);
    struct edgekit_tensor t = {
        .type = atoi(argv[2]), .scale = atof(argv[3]), .zero_point = atoll(argv[4]), .shape = shape};
    bytes = sizes[t.type];
    for (int i = 10; i < argc; i++)
        bytes *= (size_t)(shape[t.rank++] = atoll(argv[i]));
    struct edgekit_sound sound = {sizeof sound,
                                  samples,
                                  strtoull(argv[8], NULL, 10),
                                  (uint32_t)atoi(argv[7]),
                                  (uint32_t)atoi(argv[6]),
                                  atoi(argv[5]),
                                  (uint32_t)atoi(argv[9])};
    char *to = malloc(bytes);
    int status = 0;
    if (!json_read(&j, text, text_size, error, sizeof error))
        status = 3;
    else if (!sound_read(&in, &t, &j, json_get(&j, json_get(&j, 0, "task"), "sound")))
        status = 2;
    struct edgekit_sound before_it = sound; /* of another rate: nothing of it is left afterwards */
    before_it.rate = sound.rate == 8000 ? 11025 : 8000;
    if (!status)
        sound_set(&in, &before_it, &t, to, error, sizeof error);
    for (int twice = 0; twice < 2 && !status; twice++) {
        long before = allocations;
        if (!sound_set(&in, &sound, &t, to, error, sizeof error)) {
            fprintf(stderr, "%s\n", error);
            status = 1;
        } else if (allocations > before && (twice || sound.rate == in.rate)) {
            fprintf(stderr, "%ld allocations\n", allocations - before);
            status = 8;
        }
    }
    if (!status)
        fwrite(to, 1, bytes, stdout);
    sound_free(&in);
    if (status != 3)
        json_free(&j);
    free(text);
    free(samples);
    free(to);
    return status;
}
