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

struct port {
    litert_handle buffer;
    size_t bytes;
    size_t slot; /* index among the signature's inputs or outputs, which may be ordered differently */
    struct litert_ranked_type type;
};

struct model {
    const struct litert *api;
    litert_handle environment, handle;
    size_t signature;
    size_t input_count, output_count;
    size_t input_slot[NETWORK_MAX_PORTS], output_slot[NETWORK_MAX_PORTS];
    struct litert_ranked_type input_type[NETWORK_MAX_PORTS], output_type[NETWORK_MAX_PORTS];
    struct variables state;
};

struct network {
    const struct model *model;
    litert_handle compiled, profiler;
    struct port input[NETWORK_MAX_PORTS], output[NETWORK_MAX_PORTS];
    litert_handle inputs[NETWORK_MAX_PORTS], outputs[NETWORK_MAX_PORTS]; /* in the signature's order */
    size_t input_bytes, output_bytes;                                    /* of one sample */
};

/* All of these return false and leave one line in `error` on failure. `bytes` must outlive the model. */
bool model_load(struct model *model, const struct litert *api, uint8_t *bytes, size_t size, char *error,
                size_t error_size);
bool network_compile(struct network *network, const struct model *model, int threads, bool profile, char *error,
                     size_t error_size);
bool network_write(struct network *network, const uint8_t *sample, char *error, size_t error_size);
bool network_read(struct network *network, uint8_t *sample, char *error, size_t error_size);

/* One inference; nothing but LiteRT's own call. Returns LiteRT's status. */
static inline litert_status network_run(struct network *network)
{
    const struct model *m = network->model;
    return m->api->LiteRtRunCompiledModel(network->compiled, m->signature, m->input_count, network->inputs,
                                          m->output_count, network->outputs);
}

void network_free(struct network *network);

#endif
