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

/* Find where in the signature each tensor of the subgraph is passed, and its type. */
static bool match_ports(const struct litert *api, litert_handle subgraph, litert_handle signature, size_t count,
                        get_tensor of_subgraph, get_tensor of_signature, size_t *slot, struct litert_ranked_type *type,
                        char *error, size_t error_size)
{
    static uint32_t passed[NETWORK_MAX_PORTS];
    static bool taken[NETWORK_MAX_PORTS]; /* one tensor may be two outputs: each gets its own slot */
    litert_handle tensor;
    for (size_t k = 0; k < count; k++) {
        TRY(of_signature(signature, k, &tensor), "cannot read the model's signature");
        TRY(api->LiteRtGetTensorIndex(tensor, &passed[k]), "cannot read the model's signature");
        taken[k] = false;
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t index;
        size_t k = 0;
        TRY(of_subgraph(subgraph, i, &tensor), "cannot read the model's inputs and outputs");
        TRY(api->LiteRtGetTensorIndex(tensor, &index), "cannot read the model's inputs and outputs");
        memset(&type[i], 0, sizeof type[i]);
        TRY(api->LiteRtGetRankedTensorType(tensor, &type[i]), "an input or output has no rank");
        while (k < count && (passed[k] != index || taken[k]))
            k++;
        if (k == count) {
            snprintf(error, error_size, "the model's signature does not cover its inputs and outputs");
            return false;
        }
        taken[k] = true;
        slot[i] = k;
    }
    return true;
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
                       api->LiteRtGetSignatureInputTensorByIndex, m->input_slot, m->input_type, error, error_size) &&
           match_ports(api, subgraph, signature, outputs, api->LiteRtGetSubgraphOutput,
                       api->LiteRtGetSignatureOutputTensorByIndex, m->output_slot, m->output_type, error, error_size);
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
        struct litert_layout *layout = &n->input[i].type.layout;
        bool dynamic = false;
        for (unsigned int d = 0; d < layout->rank; d++)
            if (layout->dimensions[d] < 0) {
                layout->dimensions[d] = 1;
                dynamic = true;
            }
        if (dynamic)
            TRY(m->api->LiteRtCompiledModelResizeInputTensor(n->compiled, m->signature, m->input_slot[i],
                                                             layout->dimensions, layout->rank),
                "cannot resize a dynamic input");
    }
    return true;
}

static bool make_buffer(struct network *n, struct port *port, size_t slot, litert_handle requirements,
                        litert_handle *table, char *error, size_t error_size)
{
    const struct model *m = n->model;
    TRY(m->api->LiteRtCreateManagedTensorBufferFromRequirements(m->environment, &port->type, requirements,
                                                                &port->buffer),
        "cannot allocate an input or output (a type that LiteRT does not pass in buffers?)");
    TRY(m->api->LiteRtGetTensorBufferPackedSize(port->buffer, &port->bytes), "cannot size an input or output");
    port->slot = slot;
    table[slot] = port->buffer;
    return true;
}

static bool make_buffers(struct network *n, char *error, size_t error_size)
{
    const struct model *m = n->model;
    static struct litert_layout layouts[NETWORK_MAX_PORTS];
    litert_handle requirements;
    memset(layouts, 0, sizeof layouts);
    TRY(m->api->LiteRtGetCompiledModelOutputTensorLayouts(n->compiled, m->signature, m->output_count, layouts, true),
        "cannot size the model's outputs");
    for (size_t i = 0; i < m->input_count; i++) {
        size_t slot = m->input_slot[i];
        TRY(m->api->LiteRtGetCompiledModelInputBufferRequirements(n->compiled, m->signature, slot, &requirements),
            "cannot size an input");
        if (!make_buffer(n, &n->input[i], slot, requirements, n->inputs, error, error_size))
            return false;
        n->input_bytes += n->input[i].bytes;
    }
    for (size_t i = 0; i < m->output_count; i++) {
        size_t slot = m->output_slot[i];
        n->output[i].type.layout = layouts[slot];
        TRY(m->api->LiteRtGetCompiledModelOutputBufferRequirements(n->compiled, m->signature, slot, &requirements),
            "cannot size an output");
        if (!make_buffer(n, &n->output[i], slot, requirements, n->outputs, error, error_size))
            return false;
        n->output_bytes += n->output[i].bytes;
    }
    return true;
}

bool network_compile(struct network *n, const struct model *m, int threads, bool profile, char *error,
                     size_t error_size)
{
    const struct litert *api = m->api;
    litert_handle options;
    char toml[64];
    memset(n, 0, sizeof *n);
    n->model = m;
    for (size_t i = 0; i < m->input_count; i++)
        n->input[i].type = m->input_type[i];
    for (size_t i = 0; i < m->output_count; i++)
        n->output[i].type = m->output_type[i];
    TRY(api->LiteRtCreateOptions(&options), "cannot set LiteRT's options");
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
    return resize_inputs(n, error, error_size) && make_buffers(n, error, error_size);
}

bool network_write(struct network *n, const uint8_t *sample, char *error, size_t error_size)
{
    for (size_t i = 0; i < n->model->input_count; i++) {
        void *address;
        TRY(n->model->api->LiteRtLockTensorBuffer(n->input[i].buffer, &address, LITERT_LOCK_WRITE),
            "cannot write an input");
        memcpy(address, sample, n->input[i].bytes);
        TRY(n->model->api->LiteRtUnlockTensorBuffer(n->input[i].buffer), "cannot write an input");
        sample += n->input[i].bytes;
    }
    return true;
}

bool network_read(struct network *n, uint8_t *sample, char *error, size_t error_size)
{
    for (size_t i = 0; i < n->model->output_count; i++) {
        void *address;
        TRY(n->model->api->LiteRtLockTensorBuffer(n->output[i].buffer, &address, LITERT_LOCK_READ),
            "cannot read an output");
        memcpy(sample, address, n->output[i].bytes);
        TRY(n->model->api->LiteRtUnlockTensorBuffer(n->output[i].buffer), "cannot read an output");
        sample += n->output[i].bytes;
    }
    return true;
}

void network_free(struct network *n)
{
    for (size_t i = 0; i < n->model->input_count; i++)
        n->model->api->LiteRtDestroyTensorBuffer(n->input[i].buffer);
    for (size_t i = 0; i < n->model->output_count; i++)
        n->model->api->LiteRtDestroyTensorBuffer(n->output[i].buffer);
    n->model->api->LiteRtDestroyCompiledModel(n->compiled);
}
