/* edgekit's runtime library: runs the networks of bundles in programs of your own.
 *
 *     edgekit_instance *network;
 *     if (edgekit_open("model.edgekit", NULL, &network))
 *         fail(edgekit_error(NULL));
 *     memcpy(edgekit_input_data(network, 0), picture, edgekit_input(network, 0)->bytes);
 *     if (edgekit_run(network))
 *         fail(edgekit_error(network));
 *     const float *scores = edgekit_output_data(network, 0);
 *
 * An instance is for one thread at a time; a process may have any number of them, of the same network or of others.
 * After the first inference edgekit_run allocates no memory of its own. docs/runtime.md is the manual.
 *
 * The interface is stable: symbols are versioned (EDGEKIT_1), structures only grow at their end.
 */
#ifndef EDGEKIT_H
#define EDGEKIT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EDGEKIT_VERSION "1.0"

/* What functions return; edgekit_error has the reason in one line. */
enum edgekit_status {
    EDGEKIT_OK = 0,
    EDGEKIT_USAGE = 2,   /* an argument is wrong */
    EDGEKIT_MODEL = 3,   /* the runtime refuses the network */
    EDGEKIT_DAMAGED = 5, /* the bundle is not what it was when it was made */
    EDGEKIT_FAILED = 6,  /* anything else: a library is missing, memory is exhausted, a kernel failed */
};

/* Types of elements. `edgekit_tensor.dtype` has the name of those that are not listed. */
enum edgekit_type {
    EDGEKIT_OTHER = 0,
    EDGEKIT_FLOAT32 = 1,
    EDGEKIT_FLOAT16 = 2,
    EDGEKIT_FLOAT64 = 3,
    EDGEKIT_INT8 = 4,
    EDGEKIT_UINT8 = 5,
    EDGEKIT_INT16 = 6,
    EDGEKIT_UINT16 = 7,
    EDGEKIT_INT32 = 8,
    EDGEKIT_UINT32 = 9,
    EDGEKIT_INT64 = 10,
    EDGEKIT_UINT64 = 11,
    EDGEKIT_BOOL = 12,
};

/* An input or output. Its elements lie in row-major order. Made by the library; valid until the instance is closed. */
struct edgekit_tensor {
    const char *name;
    const char *dtype; /* "int8" */
    int32_t type;      /* enum edgekit_type */
    uint32_t rank;
    const int64_t *shape; /* [rank]; the first dimension is the batch's, usually 1 */
    size_t bytes;
    /* Where `scale` is not 0, an element q stands for the real number scale * (q - zero_point). */
    double scale;
    int64_t zero_point;
};

/* `size` is sizeof(struct edgekit_options): a program that was built with an older header stays correct. */
struct edgekit_options {
    size_t size;
    int32_t threads; /* processor threads of an inference, the caller's included; 0: one */
    uint32_t flags;  /* EDGEKIT_UNCHECKED, or 0 */
};

/* Do not compare the files with the manifest's digests: opening is faster, and damage shows as wrong results. */
#define EDGEKIT_UNCHECKED 1u

typedef struct edgekit_instance edgekit_instance;

/* The library's version, "1.0". */
const char *edgekit_version(void);

/* Open a bundle: a folder, or an .edgekit file (which is unpacked to $TMPDIR or /tmp for the moment, and needs zlib).
   A bundle holds code that runs in this process: open only those whose maker you trust. `options` may be NULL.
   Returns a status; `*instance` is NULL if it is not EDGEKIT_OK, and edgekit_error(NULL) says why. */
int edgekit_open(const char *bundle, const struct edgekit_options *options, edgekit_instance **instance);

/* Open a network without a bundle: a compiled network's library (`model` is NULL), or LiteRT's and a TFLite model.
   Tensors then have no names but "input0" and so on, and no type or shape. */
int edgekit_open_files(const char *library, const char *model, const struct edgekit_options *options,
                       edgekit_instance **instance);

/* Give everything back. NULL is allowed. */
void edgekit_close(edgekit_instance *instance);

uint32_t edgekit_input_count(const edgekit_instance *instance);
uint32_t edgekit_output_count(const edgekit_instance *instance);

/* The description of an input or output; NULL where there is no such number. */
const struct edgekit_tensor *edgekit_input(const edgekit_instance *instance, uint32_t number);
const struct edgekit_tensor *edgekit_output(const edgekit_instance *instance, uint32_t number);

/* The memory from which the network reads an input, and to which it writes an output: no copy is needed. It is aligned
   to 64 bytes and stays where it is until the instance is closed. An input keeps its content until it is written again.
   NULL where there is no such number. */
void *edgekit_input_data(edgekit_instance *instance, uint32_t number);
const void *edgekit_output_data(const edgekit_instance *instance, uint32_t number);

/* Copy an input in, or an output out; `bytes` must be the tensor's. Return a status. */
int edgekit_set_input(edgekit_instance *instance, uint32_t number, const void *data, size_t bytes);
int edgekit_get_output(edgekit_instance *instance, uint32_t number, void *data, size_t bytes);

/* One inference. Returns a status. A network with state remembers it for the next one. */
int edgekit_run(edgekit_instance *instance);

/* Kinds of pixels: bytes, in this order. */
enum edgekit_pixels {
    EDGEKIT_RGB = 1,
    EDGEKIT_BGR = 2,
    EDGEKIT_GREY = 3,
    EDGEKIT_RGBA = 4, /* the fourth is left alone */
    EDGEKIT_BGRA = 5,
};

/* A picture in memory. */
struct edgekit_picture {
    size_t size; /* sizeof(struct edgekit_picture) */
    const uint8_t *data;
    uint32_t width, height;
    size_t stride;  /* bytes from one row to the next */
    int32_t pixels; /* enum edgekit_pixels */
};

/* Make the network's input of a picture, as the bundle's task says: resized, cropped or letterboxed, with its colors in
   the network's order, scaled and quantized. Memory is allocated for a picture of another size than the last one.
   Returns a status; EDGEKIT_USAGE if the bundle has no task. */
int edgekit_set_picture(edgekit_instance *instance, const struct edgekit_picture *picture);

/* Make the network's inputs of a text, as the bundle's task says: of the tokens of its tokenizer, as many as there is
   room for. The text is UTF-8, and not changed in any way before. Nothing is allocated. Returns a status; EDGEKIT_USAGE
   if the bundle's task takes no text, or it is not UTF-8. */
int edgekit_set_text(edgekit_instance *instance, const char *text, size_t bytes);

/* A cell of a row: a number, or a category's value. */
struct edgekit_cell {
    double number;
    const char *text; /* NULL: it is a number */
};

/* Make the network's inputs of a row, which has a cell for each of the task's columns, in their order: numbers are
   scaled, values found in their lists. Nothing is allocated. Returns a status; EDGEKIT_USAGE if the bundle's task takes
   no row, or a cell is wrong. */
int edgekit_set_row(edgekit_instance *instance, const struct edgekit_cell *cells, uint32_t count);

/* A class that the network chose. */
struct edgekit_class {
    uint32_t number;
    float score;       /* a probability, if the network computes such or its task says that it computes logits */
    const char *label; /* valid until the instance is closed */
};

/* Write the classes with the highest scores, the best first: as many as the task says, but no more than `most`.
   Returns a status; EDGEKIT_USAGE if the bundle has no task. */
int edgekit_classes(edgekit_instance *instance, struct edgekit_class *classes, uint32_t most, uint32_t *count);

/* Something that a detector found: a box in the pixels of the picture that edgekit_set_picture got last, from its left
   upper corner. The first pixel reaches from 0 to 1. */
struct edgekit_detection {
    uint32_t number; /* of its class */
    float score;
    float left, top, right, bottom;
    const char *label; /* of its class; valid until the instance is closed */
};

/* Write what was found, the highest score first: as much as the task says, but no more than `most`. Nothing is
   allocated. Returns a status; EDGEKIT_USAGE if the bundle's task is not detection, or there was no picture. */
int edgekit_detections(edgekit_instance *instance, struct edgekit_detection *detections, uint32_t most,
                       uint32_t *count);

/* The class of pixels that the network did not see, as around a crop. */
#define EDGEKIT_UNSEEN 255

/* Write the class of each pixel of the picture that edgekit_set_picture got last: as many rows as it has, with a byte
   for each pixel, `stride` bytes from one to the next. Nothing is allocated. Returns a status; EDGEKIT_USAGE if the
   bundle's task is not segmentation, or there was no picture. */
int edgekit_mask(edgekit_instance *instance, uint8_t *mask, size_t stride);

/* The name of a class in a mask, valid until the instance is closed; NULL where there is no such class. */
const char *edgekit_mask_label(edgekit_instance *instance, uint32_t number);

/* Kinds of samples of sound. */
enum edgekit_samples {
    EDGEKIT_PCM16 = 1,       /* int16_t; full scale is 32768 */
    EDGEKIT_PCM_FLOAT32 = 2, /* float; full scale is 1 */
};

/* A recording in memory. */
struct edgekit_sound {
    size_t size;       /* sizeof(struct edgekit_sound) */
    const void *data;  /* the channels' samples in turn */
    uint64_t count;    /* samples of each channel */
    uint32_t rate;     /* samples per second; another rate than the task's is resampled */
    uint32_t channels; /* their mean is heard */
    int32_t samples;   /* enum edgekit_samples */
    uint32_t clip;     /* which clip of the recording the network shall hear, from 0 */
};

/* What the network hears at once. */
struct edgekit_clip_format {
    size_t size;     /* sizeof(struct edgekit_clip_format) */
    uint32_t rate;   /* samples per second; this and what follows is written */
    uint32_t length; /* samples */
    uint32_t step;   /* from one clip of a recording to the next; 0: only its first is heard */
};

/* Tell what the network hears at once. Returns a status; EDGEKIT_USAGE if the bundle's task takes no sound. */
int edgekit_clip(edgekit_instance *instance, struct edgekit_clip_format *clip);

/* How many clips a recording has: 1, unless the bundle's task has a `step` from one to the next. Returns a status. */
int edgekit_clips(edgekit_instance *instance, const struct edgekit_sound *sound, uint32_t *count);

/* Make the network's input of a clip, as the bundle's task says: its samples or features, scaled and quantized. A
   recording that is too short is followed by silence. Memory is allocated for a sound of another rate than the task's
   and than that of the last one that was resampled. Returns a status; EDGEKIT_USAGE if the bundle's task takes no
   sound, or the rate cannot be resampled. */
int edgekit_set_sound(edgekit_instance *instance, const struct edgekit_sound *sound);

/* How unusual a recording is: the mean over its clips. All but `size` is 0 before the first. */
struct edgekit_anomaly_sum {
    size_t size; /* sizeof(struct edgekit_anomaly_sum) */
    double sum;
    uint32_t clips;
    int32_t anomalous; /* 1 if the score is above the task's threshold, or NaN */
    double score;
};

/* Add the clip that the network has just been run on. Returns a status. */
int edgekit_anomaly(edgekit_instance *instance, struct edgekit_anomaly_sum *sum);

/* A label that was spoken: a letter, or a piece of a word. */
struct edgekit_spoken {
    uint32_t number;
    float score;       /* in the frame in which it begins */
    float start;       /* when that is, in seconds from the recording's beginning */
    const char *label; /* valid until the instance is closed */
};

/* What a clip adds to what was said in a recording. */
struct edgekit_transcript_part {
    size_t size;    /* sizeof(struct edgekit_transcript_part) */
    uint32_t clip;  /* which clip of the recording the network has just been run on; 0 begins another recording */
    uint32_t last;  /* 1 if no clip follows it */
    uint32_t count; /* of the labels; this and what follows is written */
    const struct edgekit_spoken *labels; /* [count]; valid until the next call */
    const char *text;                    /* UTF-8, to be put behind that of the clips before; valid as long */
};

/* Tell what was said in the clip that the network has just been run on. The clips of a recording come in their order:
   where they overlap, each has its half, and a label that reaches from one into the next is told once. Nothing is
   allocated. Returns a status; EDGEKIT_USAGE if the bundle's task is not speech-to-text. */
int edgekit_transcript(edgekit_instance *instance, struct edgekit_transcript_part *transcript);

/* Write what the network estimates, in the task's unit, but no more than `most` values. `*unit`, if it is not NULL,
   gets the unit's name. Returns a status; EDGEKIT_USAGE if the bundle's task is not regression. */
int edgekit_values(edgekit_instance *instance, float *values, uint32_t most, uint32_t *count, const char **unit);

/* A label of the gallery, and how near its nearest vector is. */
struct edgekit_neighbour {
    uint32_t number;   /* of the label */
    float cosine;      /* from -1 to 1 */
    int32_t known;     /* 1 if that is not below the task's threshold */
    const char *label; /* valid until the instance is closed */
};

/* Write the labels of the gallery that are nearest to what the network has just made, the nearest first: as many as the
   task says, but no more than `most`. What it was run on is unknown if the first is not known, or there is none.
   Nothing is allocated. Returns a status; EDGEKIT_USAGE if the bundle's task is not embedding. */
int edgekit_neighbours(edgekit_instance *instance, struct edgekit_neighbour *neighbours, uint32_t most,
                       uint32_t *count);

/* Write what the network has just made, at unit length, but no more than `most` elements; zeros where it has no
   direction: it is zero, or not finite. Returns a status; EDGEKIT_USAGE if the bundle's task is not embedding. */
int edgekit_embedding(edgekit_instance *instance, float *vector, uint32_t most, uint32_t *count);

/* What the bundle's task is, "detection", valid until the instance is closed; NULL if it has none. It may be a kind
   that is a plug-in of edgekit: its network runs, but the functions for a source or a decider of its own return
   EDGEKIT_USAGE. */
const char *edgekit_task(const edgekit_instance *instance);

/* Forget what earlier inferences left in a network with state. Returns a status. */
int edgekit_restart(edgekit_instance *instance);

/* What executes the network: "litert 2.3.0". */
const char *edgekit_runtime(const edgekit_instance *instance);

/* Why the last function that failed did so, in one line: of an instance, or with NULL, of this thread's last
   edgekit_open or edgekit_open_files. Empty if nothing failed. */
const char *edgekit_error(const edgekit_instance *instance);

#ifdef __cplusplus
}
#endif

#endif
