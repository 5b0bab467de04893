#include "ek_server.h"

#include "ek_config.h"
#include "ek_frame.h"
#include "ek_port.h"

#include <string.h>

enum { DIGEST = 32, WORDS = 13, NAME_MOST = 64, ANSWER = 0x80 };

static struct ek_instance instance;
static struct ek_frame frame; /* the command, and in its place the answer */
static uint32_t session, painted;
static uint32_t *step_cycles, ticks, ticks_most;
static uint64_t last_cycles;

__attribute__((noinline)) void ek_observe_begin(void)
{
    ticks = 0;
    last_cycles = ek_cycles();
}

__attribute__((noinline)) void ek_observe_end(void)
{
    ticks_most = 0;
}

/* The first call stands before the first step. A step of more cycles than a word holds has the most. */
void ek_observe_step(void *context)
{
    uint64_t used = ek_cycles() - last_cycles;
    (void)context;
    if (ticks != 0 && ticks <= ticks_most)
        step_cycles[ticks - 1] = used > UINT32_MAX ? UINT32_MAX : (uint32_t)used;
    ticks++;
    last_cycles = ek_cycles();
}

static uint32_t word(uint32_t index)
{
    return ek_get32(frame.payload + 4 * index);
}

static void answer_word(uint32_t value)
{
    ek_put32(frame.payload + frame.length, value);
    frame.length += 4;
}

static uint32_t stack_bytes(void)
{
    return (uint32_t)((uintptr_t)ek_stack_top - (uintptr_t)ek_stack_low);
}

/* The start-up painted the stack: what it still shows was never in use. */
static uint32_t stack_used(void)
{
    const uint32_t *low = ek_stack_low;
    while (low < ek_stack_top && *low == painted)
        low++;
    return (uint32_t)((uintptr_t)ek_stack_top - (uintptr_t)low);
}

static uint8_t hello(const struct ek_server *server)
{
    const struct ek_model *model = server->model;
    size_t name = strlen(model->name);
    name = name > NAME_MOST ? NAME_MOST : name;
    session = frame.session;
    frame.length = 0;
    answer_word(EK_PROTOCOL);
    answer_word(model->abi);
    answer_word(EK_FRAME_MOST);
    answer_word(server->clock_hz);
    answer_word(model->arena_bytes);
    answer_word(model->inputs);
    answer_word(model->outputs);
    answer_word(model->steps);
    answer_word(stack_bytes());
    for (uint32_t i = 9; i < WORDS; i++)
        answer_word(0);
    memcpy(frame.payload + frame.length, server->digest, DIGEST);
    memcpy(frame.payload + frame.length + DIGEST, model->name, name);
    frame.length += DIGEST + (uint32_t)name;
    return EK_OK;
}

static uint8_t size(const struct ek_model *model)
{
    uint32_t outputs = word(0), index = word(1);
    if (frame.length != 8 || outputs > 1 || index >= (outputs ? model->outputs : model->inputs))
        return EK_WRONG;
    frame.length = 0;
    answer_word((outputs ? model->output_bytes : model->input_bytes)[index]);
    return EK_OK;
}

static uint8_t write(const struct ek_model *model)
{
    uint32_t index = word(0), offset = word(1), count = frame.length - 8;
    if (frame.length < 8 || index >= model->inputs || offset > model->input_bytes[index] ||
        count > model->input_bytes[index] - offset)
        return EK_WRONG;
    memcpy((uint8_t *)model->input(&instance, index) + offset, frame.payload + 8, count);
    frame.length = 0;
    return EK_OK;
}

#ifdef EK_CONFIG_SAMPLES
/* What the emulator loaded into a memory of the machine: its serial line takes 40 us per byte. */
static uint8_t place(const struct ek_model *model)
{
    uint32_t index = word(0), offset = word(1), size = EK_CONFIG_SAMPLES_BYTES;
    if (frame.length != 8 || index >= model->inputs || offset > size || model->input_bytes[index] > size - offset)
        return EK_WRONG;
    memcpy(model->input(&instance, index), (const uint8_t *)EK_CONFIG_SAMPLES + offset, model->input_bytes[index]);
    frame.length = 0;
    return EK_OK;
}
#endif

static uint8_t run(const struct ek_server *server)
{
    uint64_t start, used;
    uint32_t observe = word(0);
    if (frame.length != 4 || observe > 1)
        return EK_WRONG;
    ticks_most = server->model->steps;
    step_cycles = server->step_cycles;
    instance.tick = observe ? ek_observe_step : NULL;
    if (observe)
        ek_observe_begin();
    start = ek_cycles();
    server->model->run(&instance);
    used = ek_cycles() - start;
    if (observe)
        ek_observe_end();
    frame.length = 0;
    answer_word((uint32_t)used);
    answer_word((uint32_t)(used >> 32));
    return EK_OK;
}

static uint8_t read(const struct ek_model *model)
{
    uint32_t index = word(0), offset = word(1), count = word(2);
    if (frame.length != 12 || index >= model->outputs || count > EK_FRAME_MOST || offset > model->output_bytes[index] ||
        count > model->output_bytes[index] - offset)
        return EK_WRONG;
    memcpy(frame.payload, (const uint8_t *)model->output(&instance, index) + offset, count);
    frame.length = count;
    return EK_OK;
}

static uint8_t steps(const struct ek_server *server)
{
    uint32_t first = word(0), count = word(1);
    if (frame.length != 8 || count > EK_FRAME_MOST / 4 || first > server->model->steps ||
        count > server->model->steps - first)
        return EK_WRONG;
    frame.length = 0;
    for (uint32_t i = 0; i < count; i++)
        answer_word(server->step_cycles[first + i]);
    return EK_OK;
}

static uint8_t answered(const struct ek_server *server)
{
    switch (frame.kind) {
    case EK_HELLO: return hello(server);
    case EK_SIZE: return size(server->model);
    case EK_WRITE: return write(server->model);
    case EK_RUN: return run(server);
    case EK_READ: return read(server->model);
    case EK_STEPS: return steps(server);
#ifdef EK_CONFIG_SAMPLES
    case EK_PLACE: return place(server->model);
#endif
    case EK_RESET:
        server->model->init(&instance, server->arena);
        frame.length = 0;
        return EK_OK;
    case EK_STACK:
        frame.length = 0;
        answer_word(stack_used());
        return EK_OK;
    default: return EK_UNKNOWN;
    }
}

void ek_fault(uint32_t where)
{
    frame.kind = EK_FAULT | ANSWER;
    frame.status = EK_FAULTED;
    frame.session = session;
    frame.length = 0;
    answer_word(where);
    ek_frame_send(&frame);
    for (;;) {
    }
}

void ek_serve(const struct ek_server *server)
{
    static struct ek_frame last; /* the last answer */
    painted = *ek_stack_low;
    server->model->init(&instance, server->arena);
    frame.kind = EK_READY | ANSWER;
    ek_frame_send(&frame);
    for (;;) {
        ek_frame_receive(&frame);
        if (frame.kind & ANSWER) /* our own answer, on a line that echoes */
            continue;
        if (frame.kind != EK_HELLO && (frame.session != session || session == 0)) {
            frame.status = EK_NO_SESSION;
            frame.length = 0;
        } else if (frame.kind != EK_HELLO && last.session == frame.session && last.sequence == frame.sequence &&
                   last.kind == (frame.kind | ANSWER)) {
            ek_frame_send(&last);
            continue;
        } else {
            frame.status = answered(server);
            if (frame.status != EK_OK)
                frame.length = 0;
        }
        frame.kind |= ANSWER;
        last = frame;
        ek_frame_send(&frame);
    }
}
