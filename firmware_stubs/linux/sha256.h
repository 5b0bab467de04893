/* SHA-256 (FIPS 180-4). */
#ifndef EDGEKIT_SHA256_H
#define EDGEKIT_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { SHA256_TEXT = 65 };

/* Write the digest of `bytes` in hexadecimal, with a zero byte. */
void sha256(const uint8_t *bytes, size_t size, char text[SHA256_TEXT]);

#endif
