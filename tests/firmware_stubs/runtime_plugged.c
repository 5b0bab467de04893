#include "runtime_plugged.h"

#include <stdlib.h>

/* A bundle whose kind of task is a plug-in's. */
int plugged(const char *bundle, const char *kind)
{
    static const char *const words = "a plug-in's kind that this library does not know: call edgekit_set_input";
    edgekit_instance *network = NULL;
    static const uint8_t pixels[3] = {1, 2, 3};
    const struct edgekit_picture picture = {sizeof picture, pixels, 1, 1, 3, EDGEKIT_RGB};
    struct edgekit_detection found;
    uint32_t count;
    EXPECT(!edgekit_open(bundle, NULL, &network) && network, "")
    EXPECT(edgekit_task(network) && !strcmp(edgekit_task(network), kind), "")
    size_t bytes = edgekit_input(network, 0)->bytes;
    void *data = calloc(1, bytes);
    EXPECT(data && !edgekit_set_input(network, 0, data, bytes) && !edgekit_run(network), "")
    EXPECT(edgekit_output_data(network, 0), "")
    free(data);
    EXPECT(edgekit_set_picture(network, &picture) == EDGEKIT_USAGE, words)
    EXPECT(edgekit_set_text(network, "x", 1) == EDGEKIT_USAGE, words)
    EXPECT(edgekit_detections(network, &found, 1, &count) == EDGEKIT_USAGE, words)
    EXPECT(!edgekit_mask_label(network, 0), words)
    EXPECT(!edgekit_run(network), "")
    edgekit_close(network);
    return 0;
}

/* A bundle whose kind of task is a plug-in's, with edgekit's own source of pictures. */
int plugged_half(const char *bundle)
{
    edgekit_instance *network = NULL;
    static const uint8_t pixels[3] = {10, 20, 40};
    const struct edgekit_picture picture = {sizeof picture, pixels, 1, 1, 3, EDGEKIT_RGB};
    struct edgekit_class found;
    uint32_t count;
    EXPECT(!edgekit_open(bundle, NULL, &network) && network, "")
    EXPECT(!edgekit_set_picture(network, &picture) && !edgekit_run(network), "")
    EXPECT(((const float *)edgekit_input_data(network, 0))[2] == 20, "")
    EXPECT(edgekit_classes(network, &found, 1, &count) == EDGEKIT_USAGE, "a plug-in's kind")
    EXPECT(edgekit_set_text(network, "x", 1) == EDGEKIT_USAGE, "takes a picture: call edgekit_set_picture")
    edgekit_close(network);
    return 0;
}
