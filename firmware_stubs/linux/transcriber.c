/* What was said, of the scores of frames. edgekit/tasks/transcriber.py and ctc.py are the same in Python, bit for bit.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "class_labels.h"
#include "exact.h"
#include "json_fields.h"
#include "real.h"
#include "sound_source.h"
#include "task.h"

enum { MAX_FRAMES = 1 << 16, MAX_SEPARATOR = 200 };

struct transcriber {
    uint32_t frames, count, blank;
    bool merge, frames_last, logits;
    char separator[MAX_SEPARATOR + 1];
    struct labels labels;
    const struct sound_input *sound;
    struct edgekit_spoken *spoken; /* [frames] */
    char *text;                    /* what a clip adds: room for all of a recording's spaces that were held back */
    size_t longest;                /* bytes of a label */
    /* Of the recording, up to here: the last frame's label, and the spaces that end the text so far. */
    uint32_t previous;
    size_t spaces;
    bool begun; /* it has letters */
};

static void transcriber_free(void *state)
{
    struct transcriber *t = state;
    labels_free(&t->labels);
    free(t->spoken);
    free(t->text);
    free(t);
}

/* The output's dimensions beside those of 1 are the frames and the labels. */
static bool take_shape(struct transcriber *t, const struct edgekit_tensor *output)
{
    int64_t sides[2] = {1, 1};
    uint32_t found = 0;
    for (uint32_t i = 0; i < output->rank; i++) {
        if (output->shape[i] < 1 || (output->shape[i] > 1 && found == 2))
            return false;
        if (output->shape[i] > 1)
            sides[found++] = output->shape[i];
    }
    if (found == 1 && output->shape[output->rank - 1] != 1) { /* of one frame */
        sides[1] = sides[0];
        sides[0] = 1;
    }
    int64_t frames = sides[t->frames_last], labels = sides[!t->frames_last];
    t->frames = (uint32_t)(frames <= MAX_FRAMES ? frames : 0);
    t->count = (uint32_t)(labels <= LABELS_MAX ? labels : 0);
    return real_known(output) && t->frames && t->count;
}

static bool read_transcriber(struct transcriber *t, const struct edgekit_tensor *output, const struct json *j,
                             uint32_t v)
{
    static const char *const scores[] = {"probabilities", "logits"}, *const sides[] = {"first", "last"};
    int logits = json_choice(j, json_get(j, v, "scores"), scores, 2);
    int frames = json_choice(j, json_get(j, v, "frames"), sides, 2);
    uint32_t separator = json_get(j, v, "separator"), labels = json_get(j, v, "labels");
    t->logits = logits == 1;
    t->frames_last = frames == 1;
    if (logits < 0 || frames < 0 || !take_shape(t, output) || !json_flag(j, v, "merge", &t->merge) || !separator ||
        !json_string(j, separator, t->separator, sizeof t->separator) || !labels || !json_first(j, labels) ||
        !json_whole(j, v, "blank", t->count - 1, &t->blank) || !labels_read(&t->labels, j, v, t->count))
        return false;
    for (uint32_t i = 0; i < t->count; i++) {
        size_t size = strlen(labels_get(&t->labels, i));
        t->longest = size > t->longest ? size : t->longest;
    }
    t->spoken = calloc(t->frames, sizeof *t->spoken);
    t->text = calloc(t->frames + 1, 2 * (t->longest + 1));
    return t->spoken && t->text;
}

static void *transcriber_read(edgekit_instance *instance, const struct json *j, uint32_t v)
{
    struct transcriber *t = calloc(1, sizeof *t);
    if (t && (!(t->sound = sound_source(instance)) || !read_transcriber(t, &instance->output[0].tensor, j, v))) {
        transcriber_free(t);
        return NULL;
    }
    return t;
}

const struct task_decider task_transcriber = {"edgekit_transcript", transcriber_read, transcriber_free};

static double score(const struct transcriber *t, const edgekit_instance *instance, uint32_t frame, uint32_t label)
{
    size_t at = t->frames_last ? (size_t)label * t->frames + frame : (size_t)frame * t->count + label;
    return real_value(&instance->output[0].tensor, instance->engine.output[0].data, at);
}

/* The label with the highest score; of equal ones the first. What is not a number is lower than all others. */
static uint32_t best(const struct transcriber *t, const edgekit_instance *instance, uint32_t frame)
{
    double highest = -INFINITY;
    uint32_t found = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        double value = score(t, instance, frame, i);
        if (value > highest) {
            highest = value;
            found = i;
        }
    }
    return found;
}

static double probability(const struct transcriber *t, const edgekit_instance *instance, uint32_t frame, uint32_t label)
{
    double highest = score(t, instance, frame, label), sum = 0;
    if (!t->logits)
        return highest;
    for (uint32_t i = 0; i < t->count; i++)
        sum += exact_exp(score(t, instance, frame, i) - highest);
    return exact_exp(highest - highest) / sum;
}

/* The first frame whose middle does not lie before so many halves of a sample. */
static uint32_t frame_from(const struct transcriber *t, int64_t half_samples)
{
    int64_t length = t->sound->length;
    int64_t found = half_samples > 0 ? (t->frames * half_samples + length - 1) / (2 * length) : 0;
    return found < t->frames ? (uint32_t)found : t->frames;
}

/* Where the recording's text goes on: spaces are held back until a letter follows. */
static char *write_space(struct transcriber *t, char *to)
{
    t->spaces += t->begun;
    return to;
}

static char *write_letter(struct transcriber *t, char *to, char letter)
{
    for (; t->spaces; t->spaces--)
        *to++ = ' ';
    t->begun = true;
    *to++ = letter;
    return to;
}

static char *write_label(struct transcriber *t, char *to, const char *label)
{
    size_t separator = strlen(t->separator);
    while (*label) {
        bool apart = separator && !strncmp(label, t->separator, separator);
        to = apart || *label == ' ' ? write_space(t, to) : write_letter(t, to, *label);
        label += apart ? separator : 1;
    }
    return to;
}

/* Spaces that a recording holds back, at most: one clip's, so that the text has room for them and for its own. */
static void limit_spaces(struct transcriber *t)
{
    size_t most = (size_t)t->frames * t->longest;
    t->spaces = t->spaces < most ? t->spaces : most;
}

int edgekit_transcript(edgekit_instance *instance, struct edgekit_transcript_part *to)
{
    struct transcriber *t = task_of_decider(instance, &task_transcriber);
    if (!t)
        return EDGEKIT_USAGE;
    if (to->size < sizeof *to)
        return engine_fail(&instance->engine, EDGEKIT_USAGE, "the size of struct edgekit_transcript_part is not set");
    if (!to->clip) {
        t->previous = t->blank;
        t->spaces = t->begun = 0;
    }
    int64_t length = t->sound->length, step = t->sound->step;
    uint32_t begin = to->clip ? frame_from(t, length - step) : 0;
    uint32_t end = to->last ? t->frames : frame_from(t, length + step);
    char *text = t->text;
    to->count = 0;
    limit_spaces(t);
    for (uint32_t frame = begin; frame < end; frame++) {
        uint32_t label = best(t, instance, frame);
        bool begins = label != t->blank && !(t->merge && label == t->previous);
        t->previous = label;
        if (!begins)
            continue;
        double clip = (double)((uint64_t)to->clip * (uint64_t)step) / t->sound->rate;
        double within = (double)((uint64_t)frame * (uint64_t)length) / (double)((uint64_t)t->sound->rate * t->frames);
        t->spoken[to->count++] = (struct edgekit_spoken){label, (float)probability(t, instance, frame, label),
                                                         (float)(clip + within), labels_get(&t->labels, label)};
        text = write_label(t, text, labels_get(&t->labels, label));
    }
    *text = 0;
    to->labels = t->spoken;
    to->text = t->text;
    return EDGEKIT_OK;
}
