/* Pictures as a task's source. */
#ifndef EDGEKIT_PICTURE_SOURCE_H
#define EDGEKIT_PICTURE_SOURCE_H

#include "instance.h"
#include "picture.h"

/* Where the last picture lies in the network's input; NULL, with a line in the instance's error, where there was none.
 */
const struct picture_room *picture_source_room(edgekit_instance *instance);

#endif
