/* The sound that a network hears, for deciders. */
#ifndef EDGEKIT_SOUND_SOURCE_H
#define EDGEKIT_SOUND_SOURCE_H

#include "sound.h"

/* NULL, with a line in the instance's error, where the task takes no sound. */
const struct sound_input *sound_source(edgekit_instance *instance);

#endif
