/* What a bundle's manifest says of the network's tensors. */
#ifndef EDGEKIT_DESCRIBE_H
#define EDGEKIT_DESCRIBE_H

#include "instance.h"
#include "json.h"

/* Describe the inputs and outputs of an instance that is prepared; false where the manifest is damaged, or of another
   network. */
bool describe_tensors(edgekit_instance *instance, const struct json *manifest);

#endif
