/* A compiled network that writes down what is asked of it, and takes as long as the test says. An input is 1,313
 * floats; the outputs are its first and the number of earlier inferences, which is kept in the arena. The first of its
 * two kernels takes a quarter of the time. $RECORD names the file, $TIMES_NS has the times of the inferences in turn.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiled_network.h"

void fake_clock_advance(uint64_t ns);

static uint64_t time_of(unsigned int inference)
{
    static uint64_t times[64];
    static unsigned int count;
    if (!count) {
        const char *text = getenv("TIMES_NS");
        while (text && *text && count < 64) {
            char *end;
            times[count++] = strtoull(text, &end, 10);
            text = *end ? end + 1 : end;
        }
    }
    return count ? times[inference % count] : 0;
}

static int run(void *arena, struct ek_pool *pool, const void *const *inputs, void *const *outputs, void (*tick)(void *),
               void *context)
{
    (void)pool;
    static unsigned int inference;
    float x, number;
    memcpy(&x, inputs[0], sizeof x);
    memcpy(&number, arena, sizeof number);
    FILE *record = fopen(getenv("RECORD"), "a");
    if (record) {
        fprintf(record, "%g%s\n", (double)x, tick ? " observed" : "");
        fclose(record);
    }
    const uint64_t time = time_of(inference++);
    if (tick)
        tick(context);
    fake_clock_advance(time / 4);
    if (tick)
        tick(context);
    fake_clock_advance(time - time / 4);
    if (tick)
        tick(context);
    memcpy(outputs[0], &x, sizeof x);
    memcpy(outputs[1], &number, sizeof number);
    number += 1;
    memcpy(arena, &number, sizeof number);
    return 0;
}

__attribute__((visibility("default"))) const struct ek_network *edgekit_network(void)
{
    static const uint64_t input_bytes[] = {5252}, output_bytes[] = {4, 4};
    static const struct ek_kernel kernels[] = {{"first", 4, 1}, {"second", -1, 1}};
    static const struct ek_network network = {
        EK_NETWORK_ABI, "recorder", 1, 2, 2, input_bytes, output_bytes, 4, kernels, run, NULL,
    };
    return &network;
}
