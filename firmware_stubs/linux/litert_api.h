/* The part of LiteRT's C interface that the runner uses, declared by hand.
 *
 * libLiteRt.so is loaded at run time, so the runner builds without LiteRT's headers. The declarations follow
 * litert/c (litert_common.h, litert_environment.h, litert_model.h, litert_options.h, litert_opaque_options.h,
 * litert_compiled_model.h, litert_tensor_buffer.h, litert_profiler.h) of LiteRT 2.3.0, Apache-2.0. They change
 * between versions (2.1 took no environment in LiteRtCreateModelFromBuffer): the version the runner is built
 * for is LITERT_VERSION, and a test checks the declarations against the library.
 */
#ifndef EDGEKIT_LITERT_API_H
#define EDGEKIT_LITERT_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef LITERT_VERSION
#define LITERT_VERSION "2.3.0"
#endif

enum { LITERT_OK = 0, LITERT_UNSUPPORTED = 5, LITERT_CPU = 1, LITERT_MAX_RANK = 8 };
enum { LITERT_LOCK_READ = 0, LITERT_LOCK_WRITE = 1 };

/* Layout: 7 bits of rank, 1 bit "has strides"; a negative dimension is dynamic. */
struct litert_layout {
    unsigned int rank : 7;
    bool has_strides : 1;
    int32_t dimensions[LITERT_MAX_RANK];
    uint32_t strides[LITERT_MAX_RANK];
};

struct litert_ranked_type {
    int32_t element_type; /* TfLiteType */
    struct litert_layout layout;
};

struct litert_event {
    const char *tag;
    int32_t type; /* 1 other, 2 operator of the model, 4 or 8 operator inside a delegate */
    uint64_t start_us, elapsed_us;
    uint64_t memory_before[3], memory_after[3];
    uint64_t node; /* index of the operator, or of the delegate's own operator */
    uint64_t metadata2;
    int32_t source; /* 0 LiteRT, 1 the interpreter, 2 a delegate */
};

_Static_assert(sizeof(struct litert_layout) == 68, "LiteRtLayout");
_Static_assert(sizeof(struct litert_ranked_type) == 72, "LiteRtRankedTensorType");
_Static_assert(sizeof(struct litert_event) == 104, "ProfiledEventData");

typedef void *litert_handle;
typedef int litert_status;

#define LITERT_FUNCTIONS(F)                                                                                     \
    F(LiteRtCreateEnvironment, (int, const void *, litert_handle *))                                            \
    F(LiteRtCreateModelFromBuffer, (litert_handle, const void *, size_t, litert_handle *))                      \
    F(LiteRtCreateOptions, (litert_handle *))                                                                   \
    F(LiteRtSetOptionsHardwareAccelerators, (litert_handle, int))                                               \
    F(LiteRtCreateOpaqueOptions, (const char *, void *, void (*)(void *), litert_handle *))                     \
    F(LiteRtAddOpaqueOptions, (litert_handle, litert_handle))                                                   \
    F(LiteRtCreateCompiledModel, (litert_handle, litert_handle, litert_handle, litert_handle *))                \
    F(LiteRtCompiledModelResizeInputTensor, (litert_handle, size_t, size_t, const int *, size_t))               \
    F(LiteRtGetCompiledModelOutputTensorLayouts, (litert_handle, size_t, size_t, struct litert_layout *, bool)) \
    F(LiteRtGetCompiledModelInputBufferRequirements, (litert_handle, size_t, size_t, litert_handle *))          \
    F(LiteRtGetCompiledModelOutputBufferRequirements, (litert_handle, size_t, size_t, litert_handle *))         \
    F(LiteRtRunCompiledModel, (litert_handle, size_t, size_t, litert_handle *, size_t, litert_handle *))        \
    F(LiteRtCompiledModelGetProfiler, (litert_handle, litert_handle *))                                         \
    F(LiteRtStartProfiler, (litert_handle))                                                                     \
    F(LiteRtStopProfiler, (litert_handle))                                                                      \
    F(LiteRtResetProfiler, (litert_handle))                                                                     \
    F(LiteRtGetNumProfilerEvents, (litert_handle, int *))                                                       \
    F(LiteRtGetProfilerEvents, (litert_handle, int, struct litert_event *))                                     \
    F(LiteRtGetNumModelSignatures, (litert_handle, size_t *))                                                   \
    F(LiteRtGetModelSignature, (litert_handle, size_t, litert_handle *))                                        \
    F(LiteRtGetModelSubgraph, (litert_handle, size_t, litert_handle *))                                         \
    F(LiteRtGetSignatureSubgraph, (litert_handle, litert_handle *))                                             \
    F(LiteRtGetNumSignatureInputs, (litert_handle, size_t *))                                                   \
    F(LiteRtGetNumSignatureOutputs, (litert_handle, size_t *))                                                  \
    F(LiteRtGetSignatureInputTensorByIndex, (litert_handle, size_t, litert_handle *))                           \
    F(LiteRtGetSignatureOutputTensorByIndex, (litert_handle, size_t, litert_handle *))                          \
    F(LiteRtGetNumSubgraphInputs, (litert_handle, size_t *))                                                    \
    F(LiteRtGetNumSubgraphOutputs, (litert_handle, size_t *))                                                   \
    F(LiteRtGetSubgraphInput, (litert_handle, size_t, litert_handle *))                                         \
    F(LiteRtGetSubgraphOutput, (litert_handle, size_t, litert_handle *))                                        \
    F(LiteRtGetTensorIndex, (litert_handle, uint32_t *))                                                        \
    F(LiteRtGetRankedTensorType, (litert_handle, struct litert_ranked_type *))                                  \
    F(LiteRtCreateManagedTensorBufferFromRequirements,                                                          \
      (litert_handle, const struct litert_ranked_type *, litert_handle, litert_handle *))                       \
    F(LiteRtGetTensorBufferPackedSize, (litert_handle, size_t *))                                               \
    F(LiteRtLockTensorBuffer, (litert_handle, void **, int))                                                    \
    F(LiteRtUnlockTensorBuffer, (litert_handle))

#define LITERT_DESTROYERS(F)      \
    F(LiteRtDestroyEnvironment)   \
    F(LiteRtDestroyModel)         \
    F(LiteRtDestroyOptions)       \
    F(LiteRtDestroyCompiledModel) \
    F(LiteRtDestroyTensorBuffer)

struct litert {
#define LITERT_MEMBER(name, arguments) litert_status(*name) arguments;
    LITERT_FUNCTIONS(LITERT_MEMBER)
#undef LITERT_MEMBER
#define LITERT_DESTROYER(name) void (*name)(litert_handle);
    LITERT_DESTROYERS(LITERT_DESTROYER)
#undef LITERT_DESTROYER
};

/* Find the functions in the loaded library; on failure return false and leave one line in `error`. */
bool litert_load(struct litert *api, void *library, char *error, size_t size);

#endif
