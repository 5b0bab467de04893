/* A network compiled by LiteRT, with its input and output buffers.
 *
 * Files hold, for each sample, the raw little-endian bytes of each input (or output) of the model's main
 * subgraph, in its order, back to back. A dynamic dimension counts as 1.
 */
#ifndef EDGEKIT_NETWORK_H
#define EDGEKIT_NETWORK_H

#include "litert_api.h"
#include "variables.h"

enum { NETWORK_MAX_PORTS = 4096 }; /* a network taken apart for checking has hundreds */

struct passed {
    size_t slot; /* index among the signature's inputs or outputs, which may be ordered differently */
    struct litert_ranked_type type;
};

struct model {
    const struct litert *api;
    litert_handle environment, handle;
    size_t signature;
    size_t input_count, output_count;
    struct passed *input, *output;
    struct variables state;
};

struct buffer {
    litert_handle handle;
    void *data; /* in this process's memory, as long as the buffer exists */
    size_t bytes;
};

struct network {
    const struct model *model;
    litert_handle compiled, profiler;
    struct buffer *input, *output;
    litert_handle *inputs, *outputs; /* in the signature's order */
};

/* All of these return false and leave one line in `error` on failure; what was made until then is given back by the
   functions below. `bytes` must outlive the model. */
bool model_load(struct model *model, const struct litert *api, uint8_t *bytes, size_t size, char *error,
                size_t error_size);
bool network_compile(struct network *network, const struct model *model, int threads, bool profile, char *error,
                     size_t error_size);
/* Compile it again, with the same buffers: its state begins anew. */
bool network_restart(struct network *network, int threads, bool profile, char *error, size_t error_size);

/* One inference; nothing but LiteRT's own call. Returns LiteRT's status. */
static inline litert_status network_run(struct network *network)
{
    const struct model *m = network->model;
    return m->api->LiteRtRunCompiledModel(network->compiled, m->signature, m->input_count, network->inputs,
                                          m->output_count, network->outputs);
}

/* What was zeroed and never filled may be given back, too. */
void network_free(struct network *network);
void model_free(struct model *model);

#endif
