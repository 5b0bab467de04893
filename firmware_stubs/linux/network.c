#include "network.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool fail(char *error, size_t size, const char *what, litert_status status)
{
    snprintf(error, size, "%s (LiteRT status %d)", what, status);
    return false;
}

#define TRY(call, what)                                    \
    do {                                                   \
        litert_status status_ = (call);                    \
        if (status_ != LITERT_OK)                          \
            return fail(error, error_size, what, status_); \
    } while (0)

typedef litert_status (*get_tensor)(litert_handle, size_t, litert_handle *);

static void *room(size_t count, size_t size, char *error, size_t error_size)
{
    void *memory = calloc(count + 1, size);
    if (!memory)
        snprintf(error, error_size, "out of memory");
    return memory;
}

struct seen {
    uint32_t index;
    bool taken; /* one tensor may be two outputs: each gets its own slot */
};

static bool match(const struct litert *api, litert_handle subgraph, litert_handle signature, size_t count,
                  get_tensor of_subgraph, get_tensor of_signature, struct seen *seen, struct passed *ports, char *error,
                  size_t error_size)
{
    litert_handle tensor;
    for (size_t k = 0; k < count; k++) {
        TRY(of_signature(signature, k, &tensor), "cannot read the model's signature");
        TRY(api->LiteRtGetTensorIndex(tensor, &seen[k].index), "cannot read the model's signature");
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t index;
        size_t k = 0;
        TRY(of_subgraph(subgraph, i, &tensor), "cannot read the model's inputs and outputs");
        TRY(api->LiteRtGetTensorIndex(tensor, &index), "cannot read the model's inputs and outputs");
        TRY(api->LiteRtGetRankedTensorType(tensor, &ports[i].type), "an input or output has no rank");
        while (k < count && (seen[k].index != index || seen[k].taken))
            k++;
        if (k == count) {
            snprintf(error, error_size, "the model's signature does not cover its inputs and outputs");
            return false;
        }
        seen[k].taken = true;
        ports[i].slot = k;
    }
    return true;
}

/* Find where in the signature each tensor of the subgraph is passed, and its type. */
static bool match_ports(const struct litert *api, litert_handle subgraph, litert_handle signature, size_t count,
                        get_tensor of_subgraph, get_tensor of_signature, struct passed **ports, char *error,
                        size_t error_size)
{
    struct seen *seen = room(count, sizeof *seen, error, error_size);
    if (!seen || !(*ports = room(count, sizeof **ports, error, error_size))) {
        free(seen);
        return false;
    }
    bool ok = match(api, subgraph, signature, count, of_subgraph, of_signature, seen, *ports, error, error_size);
    free(seen);
    return ok;
}

/* The signature whose subgraph is the main one; LiteRT makes one up for models without. */
static bool find_signature(struct model *m, litert_handle subgraph, litert_handle *signature, char *error,
                           size_t error_size)
{
    size_t count;
    TRY(m->api->LiteRtGetNumModelSignatures(m->handle, &count), "cannot read the model's signatures");
    for (m->signature = 0; m->signature < count; m->signature++) {
        litert_handle own;
        TRY(m->api->LiteRtGetModelSignature(m->handle, m->signature, signature), "cannot read the signatures");
        TRY(m->api->LiteRtGetSignatureSubgraph(*signature, &own), "cannot read the model's signatures");
        if (own == subgraph)
            return true;
    }
    snprintf(error, error_size, "no signature runs the model's main subgraph");
    return false;
}

bool model_load(struct model *m, const struct litert *api, uint8_t *bytes, size_t size, char *error, size_t error_size)
{
    m->api = api;
    TRY(api->LiteRtCreateEnvironment(0, NULL, &m->environment), "cannot start LiteRT");
    variables_find(&m->state, bytes, size);
    variables_set(&m->state, bytes, 0);
    litert_status status = api->LiteRtCreateModelFromBuffer(m->environment, bytes, size, &m->handle);
    variables_set(&m->state, bytes, 1);
    if (status != LITERT_OK)
        return fail(error, error_size, "LiteRT refuses the model", status);

    litert_handle subgraph, signature;
    size_t inputs, outputs;
    TRY(api->LiteRtGetModelSubgraph(m->handle, 0, &subgraph), "the model has no subgraph");
    if (!find_signature(m, subgraph, &signature, error, error_size))
        return false;
    TRY(api->LiteRtGetNumSubgraphInputs(subgraph, &m->input_count), "cannot count the model's inputs");
    TRY(api->LiteRtGetNumSubgraphOutputs(subgraph, &m->output_count), "cannot count the model's outputs");
    TRY(api->LiteRtGetNumSignatureInputs(signature, &inputs), "cannot count the model's inputs");
    TRY(api->LiteRtGetNumSignatureOutputs(signature, &outputs), "cannot count the model's outputs");
    if (inputs != m->input_count || outputs != m->output_count) {
        snprintf(error, error_size, "the model's signature does not cover its inputs and outputs");
        return false;
    }
    if (inputs > NETWORK_MAX_PORTS || outputs > NETWORK_MAX_PORTS) {
        snprintf(error, error_size, "the model has more than %d inputs or outputs", NETWORK_MAX_PORTS);
        return false;
    }
    return match_ports(api, subgraph, signature, inputs, api->LiteRtGetSubgraphInput,
                       api->LiteRtGetSignatureInputTensorByIndex, &m->input, error, error_size) &&
           match_ports(api, subgraph, signature, outputs, api->LiteRtGetSubgraphOutput,
                       api->LiteRtGetSignatureOutputTensorByIndex, &m->output, error, error_size);
}

/* Add LiteRT options in the TOML form its opaque options take. */
static bool add_options(const struct litert *api, litert_handle options, const char *name, const char *toml,
                        char *error, size_t error_size)
{
    litert_handle opaque;
    char *payload = strdup(toml); /* LiteRT frees it */
    if (!payload) {
        snprintf(error, error_size, "out of memory");
        return false;
    }
    TRY(api->LiteRtCreateOpaqueOptions(name, payload, free, &opaque), "cannot set LiteRT's options");
    TRY(api->LiteRtAddOpaqueOptions(options, opaque), "cannot set LiteRT's options");
    return true;
}

/* Give dynamic input dimensions the size 1. */
static bool resize_inputs(struct network *n, char *error, size_t error_size)
{
    const struct model *m = n->model;
    for (size_t i = 0; i < m->input_count; i++) {
        struct litert_layout *layout = &m->input[i].type.layout;
        bool dynamic = false;
        for (unsigned int d = 0; d < layout->rank; d++)
            dynamic |= layout->dimensions[d] < 0;
        if (!dynamic)
            continue;
        struct litert_layout sized = *layout;
        for (unsigned int d = 0; d < sized.rank; d++)
            sized.dimensions[d] = sized.dimensions[d] < 0 ? 1 : sized.dimensions[d];
        TRY(m->api->LiteRtCompiledModelResizeInputTensor(n->compiled, m->signature, m->input[i].slot, sized.dimensions,
                                                         sized.rank),
            "cannot resize a dynamic input");
    }
    return true;
}

static bool make_buffer(struct network *n, struct buffer *buffer, const struct litert_ranked_type *type,
                        litert_handle requirements, char *error, size_t error_size)
{
    const struct model *m = n->model;
    TRY(m->api->LiteRtCreateManagedTensorBufferFromRequirements(m->environment, type, requirements, &buffer->handle),
        "cannot allocate an input or output (a type that LiteRT does not pass in buffers?)");
    TRY(m->api->LiteRtGetTensorBufferPackedSize(buffer->handle, &buffer->bytes), "cannot size an input or output");
    /* On a processor buffers are plain memory, which does not move; locking says where it is. */
    TRY(m->api->LiteRtLockTensorBuffer(buffer->handle, &buffer->data, LITERT_LOCK_WRITE), "cannot write an input");
    TRY(m->api->LiteRtUnlockTensorBuffer(buffer->handle), "cannot write an input");
    if (buffer->bytes)
        memset(buffer->data, 0, buffer->bytes);
    return true;
}

static bool make_inputs(struct network *n, char *error, size_t error_size)
{
    const struct model *m = n->model;
    litert_handle requirements;
    for (size_t i = 0; i < m->input_count; i++) {
        struct litert_ranked_type type = m->input[i].type;
        for (unsigned int d = 0; d < type.layout.rank; d++)
            type.layout.dimensions[d] = type.layout.dimensions[d] < 0 ? 1 : type.layout.dimensions[d];
        TRY(m->api->LiteRtGetCompiledModelInputBufferRequirements(n->compiled, m->signature, m->input[i].slot,
                                                                  &requirements),
            "cannot size an input");
        if (!make_buffer(n, &n->input[i], &type, requirements, error, error_size))
            return false;
        n->inputs[m->input[i].slot] = n->input[i].handle;
    }
    return true;
}

static bool make_outputs(struct network *n, struct litert_layout *layouts, char *error, size_t error_size)
{
    const struct model *m = n->model;
    litert_handle requirements;
    TRY(m->api->LiteRtGetCompiledModelOutputTensorLayouts(n->compiled, m->signature, m->output_count, layouts, true),
        "cannot size the model's outputs");
    for (size_t i = 0; i < m->output_count; i++) {
        struct litert_ranked_type type = m->output[i].type;
        type.layout = layouts[m->output[i].slot];
        TRY(m->api->LiteRtGetCompiledModelOutputBufferRequirements(n->compiled, m->signature, m->output[i].slot,
                                                                   &requirements),
            "cannot size an output");
        if (!make_buffer(n, &n->output[i], &type, requirements, error, error_size))
            return false;
        n->outputs[m->output[i].slot] = n->output[i].handle;
    }
    return true;
}

static bool make_buffers(struct network *n, char *error, size_t error_size)
{
    const struct model *m = n->model;
    struct litert_layout *layouts = room(m->output_count, sizeof *layouts, error, error_size);
    n->input = room(m->input_count, sizeof *n->input, error, error_size);
    n->output = room(m->output_count, sizeof *n->output, error, error_size);
    n->inputs = room(m->input_count, sizeof *n->inputs, error, error_size);
    n->outputs = room(m->output_count, sizeof *n->outputs, error, error_size);
    bool ok = layouts && n->input && n->output && n->inputs && n->outputs && make_inputs(n, error, error_size) &&
              make_outputs(n, layouts, error, error_size);
    free(layouts);
    return ok;
}

static bool compile_with(struct network *n, litert_handle options, int threads, bool profile, char *error,
                         size_t error_size)
{
    const struct model *m = n->model;
    const struct litert *api = m->api;
    char toml[64];
    TRY(api->LiteRtSetOptionsHardwareAccelerators(options, LITERT_CPU), "cannot set LiteRT's options");
    snprintf(toml, sizeof toml, "num_threads = %d\n", threads);
    if (!add_options(api, options, "xnnpack", toml, error, error_size))
        return false;
    if (profile && !add_options(api, options, "runtime_options_string", "enable_profiling = true\n", error, error_size))
        return false;
    TRY(api->LiteRtCreateCompiledModel(m->environment, m->handle, options, &n->compiled),
        "LiteRT cannot compile the model");
    if (profile)
        TRY(api->LiteRtCompiledModelGetProfiler(n->compiled, &n->profiler), "LiteRT has no profiler");
    return resize_inputs(n, error, error_size);
}

static bool compile(struct network *n, int threads, bool profile, char *error, size_t error_size)
{
    litert_handle options;
    TRY(n->model->api->LiteRtCreateOptions(&options), "cannot set LiteRT's options");
    bool ok = compile_with(n, options, threads, profile, error, error_size);
    n->model->api->LiteRtDestroyOptions(options);
    return ok;
}

bool network_compile(struct network *n, const struct model *m, int threads, bool profile, char *error,
                     size_t error_size)
{
    memset(n, 0, sizeof *n);
    n->model = m;
    return compile(n, threads, profile, error, error_size) && make_buffers(n, error, error_size);
}

bool network_restart(struct network *n, int threads, bool profile, char *error, size_t error_size)
{
    n->model->api->LiteRtDestroyCompiledModel(n->compiled);
    n->compiled = NULL;
    return compile(n, threads, profile, error, error_size);
}

static void free_buffers(const struct litert *api, struct buffer *buffers, size_t count)
{
    for (size_t i = 0; buffers && i < count; i++)
        if (buffers[i].handle)
            api->LiteRtDestroyTensorBuffer(buffers[i].handle);
    free(buffers);
}

void network_free(struct network *n)
{
    if (!n->model)
        return;
    free_buffers(n->model->api, n->input, n->model->input_count);
    free_buffers(n->model->api, n->output, n->model->output_count);
    free(n->inputs);
    free(n->outputs);
    if (n->compiled)
        n->model->api->LiteRtDestroyCompiledModel(n->compiled);
    memset(n, 0, sizeof *n);
}

void model_free(struct model *m)
{
    if (m->handle)
        m->api->LiteRtDestroyModel(m->handle);
    if (m->environment)
        m->api->LiteRtDestroyEnvironment(m->environment);
    free(m->input);
    free(m->output);
    memset(m, 0, sizeof *m);
}
