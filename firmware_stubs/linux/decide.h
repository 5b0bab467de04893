/* For edgekit-run: source material, such as pictures, through a bundle's task to decisions, with what lies between. A
 * proof compares all of it with the reference.
 *
 * Material is a record for each sample: four little-endian numbers of 32 bits, and bytes. The numbers are the kind, two
 * that depend on it, and the count of the bytes. A picture has its width and height, and bytes in RGB; a recording its
 * rate and number of channels, and samples in int16; a text zeros, and bytes in UTF-8; a row
 * the count of its cells and zero, and of each cell an n and a double, or a t and a text that ends with a zero.
 *
 * Decisions are lines of text: the sample's number, that of a class, how many values follow, the values as hexadecimal
 * floats, and the label.
 */
#ifndef EDGEKIT_DECIDE_H
#define EDGEKIT_DECIDE_H

#include <stdio.h>

#include "edgekit.h"

/* Where it writes, for each sample: what the network is fed with, its outputs, both as raw bytes, and the decision. */
struct decide_files {
    FILE *fed, *outputs, *decisions;
};

/* Read the task from a manifest's text, and decide on `samples` records. Returns a status, with a line in the
   instance's error. */
int decide_all(edgekit_instance *instance, const char *manifest, size_t manifest_size, const uint8_t *material,
               size_t size, long samples, const struct decide_files *files);

#endif
