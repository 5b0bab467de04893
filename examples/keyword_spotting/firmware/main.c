/* Keyword spotting: a WAV file comes in over the UART, the word that is spoken goes out.

   A loop of four steps: receive a second of speech, compute its features (ek_mfcc.c), run the network (model.c, written
   by edgekit), print the label. Nothing is allocated; all memory is declared here. */
#include "ek_config.h"
#include "ek_port.h"
#include "labels.h"
#include "mfcc.h"
#include "model.h"

enum { SAMPLES = 16000, FRAMES = (SAMPLES - MFCC_WINDOW) / MFCC_STRIDE + 1, MOST_CHUNK = 1 << 20 };

static int16_t samples[SAMPLES];
static uint8_t arena[MODEL_ARENA_BYTES] __attribute__((aligned(EK_ARENA_ALIGNMENT)));
static uint64_t scratch[(MFCC_SCRATCH + 1) / 2];

typedef char features_fit[FRAMES * MFCC_COEFFICIENTS == MODEL_INPUT_0_ELEMENTS ? 1 : -1];
typedef char labels_fit[LABELS == MODEL_OUTPUT_0_ELEMENTS ? 1 : -1];

/* edgekit's trace plugin for QEMU watches these addresses: an inference, and its steps. They do nothing. */

void ek_observe_begin(void);
void ek_observe_step(void);
void ek_observe_end(void);

__attribute__((noinline)) void ek_observe_begin(void)
{
    __asm volatile("");
}

__attribute__((noinline)) void ek_observe_step(void)
{
    __asm volatile("");
}

__attribute__((noinline)) void ek_observe_end(void)
{
    __asm volatile("");
}

/* Text */

static void print(const char *text)
{
    while (*text)
        ek_uart_send((uint8_t)*text++);
}

static void print_number(uint64_t value)
{
    char digits[21];
    uint32_t place = sizeof digits - 1;
    digits[place] = 0;
    do
        digits[--place] = (char)('0' + value % 10);
    while (value /= 10);
    print(digits + place);
}

/* A WAV file */

static uint32_t received(uint32_t bytes)
{
    uint32_t value = 0;
    for (uint32_t i = 0; i < bytes; i++)
        value |= (uint32_t)ek_uart_receive() << (8 * i);
    return value;
}

static void skip(uint32_t bytes)
{
    while (bytes--)
        (void)ek_uart_receive();
}

static uint32_t tag(const char *name)
{
    return (uint32_t)name[0] | (uint32_t)name[1] << 8 | (uint32_t)name[2] << 16 | (uint32_t)name[3] << 24;
}

/* Waits for "RIFF", whatever comes before. */
static void wait_for_file(void)
{
    for (uint32_t last = 0; last != tag("RIFF");)
        last = last >> 8 | (uint32_t)ek_uart_receive() << 24;
    skip(4);
}

/* Reads a second of samples, silence where the file ends before; NULL, or what is wrong with the file. */
static const char *receive_wav(void)
{
    uint32_t format = 0, channels = 0, rate = 0, bits = 0;
    wait_for_file();
    if (received(4) != tag("WAVE"))
        return "not a WAV file";
    for (;;) {
        uint32_t name = received(4), size = received(4);
        if (name == tag("data")) {
            uint32_t count = size / 2 < SAMPLES ? size / 2 : SAMPLES;
            if (format != 1 || channels != 1 || rate != MFCC_RATE || bits != 16)
                return "not 16 bits, one channel, 16000 Hz";
            for (uint32_t i = 0; i < SAMPLES; i++)
                samples[i] = i < count ? (int16_t)received(2) : 0;
            return 0;
        }
        if (size > MOST_CHUNK)
            return "a damaged WAV file";
        if (name == tag("fmt ") && size >= 16) {
            format = received(2);
            channels = received(2);
            rate = received(4);
            skip(6);
            bits = received(2);
            size -= 16;
        }
        skip(size + (size & 1));
    }
}

int main(void)
{
    struct ek_instance network;
    ek_board_init();
    ek_uart_init();
    ek_cycles_init();
    model_init(&network, arena);
    print("ready\n");
    for (;;) {
        const char *wrong = receive_wav();
        if (wrong) {
            print("error: ");
            print(wrong);
            print("\n");
            continue;
        }
        ek_observe_begin();
        uint64_t start = ek_cycles();
        ek_observe_step();
        ek_mfcc_clip(&mfcc, samples, FRAMES, scratch, model_input(&network, 0));
        ek_observe_step();
        uint64_t middle = ek_cycles();
        model_run(&network);
        ek_observe_step();
        uint64_t end = ek_cycles();
        ek_observe_end();

        const int8_t *scores = model_output(&network, 0);
        uint32_t best = 0;
        for (uint32_t i = 1; i < LABELS; i++)
            best = scores[i] > scores[best] ? i : best;
        print("heard: ");
        print(labels[best]);
        print(" score ");
        print_number((uint64_t)(scores[best] - MODEL_OUTPUT_0_ZERO_POINT));
        print("/256 front-end ");
        print_number((middle - start) * EK_CONFIG_TICK);
        print(" network ");
        print_number((end - middle) * EK_CONFIG_TICK);
        print(" " EK_CONFIG_UNIT "\n");
    }
}

/* Called by the fault handlers. */
void ek_fault(uint32_t where)
{
    print("fault at ");
    print_number(where);
    print("\n");
    for (;;) {
    }
}
