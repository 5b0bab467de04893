/* Frames: what the host and the firmware say to each other over a UART, in both directions alike.

   | Offset | Bytes | Field |
   |---|---|---|
   | 0 | 4 | magic: 0x45 0x4b 0xc3 0x3c |
   | 4 | 1 | kind: a command; in an answer, the command's | 0x80 |
   | 5 | 1 | status: 0 in a command |
   | 6 | 2 | sequence number of the command, which its answer repeats |
   | 8 | 4 | session: chosen by the host in HELLO, forgotten by a reset |
   | 12 | 4 | length of the payload, bytes |
   | 16 | 4 | CRC-32 (IEEE 802.3) of bytes 0 to 15 |
   | 20 | length | payload |
   | | 4 | CRC-32 of the payload, if there is one |

   Integers are little-endian. Whatever is not a frame is passed over. */
#ifndef EK_FRAME_H
#define EK_FRAME_H

#include <stdint.h>

#define EK_FRAME_MOST 512u /* bytes of a payload */

struct ek_frame {
    uint8_t kind, status;
    uint16_t sequence;
    uint32_t session, length;
    uint8_t payload[EK_FRAME_MOST];
};

uint32_t ek_crc32(uint32_t crc, const uint8_t *data, uint32_t length);
uint32_t ek_get32(const uint8_t *from);
void ek_put32(uint8_t *to, uint32_t value);

/* Waits for an intact frame. */
void ek_frame_receive(struct ek_frame *frame);
void ek_frame_send(const struct ek_frame *frame);

#endif
