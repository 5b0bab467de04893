#include "ek_frame.h"

#include "ek_port.h"

enum { HEADER = 20, MAGIC = 4, CHECKED = 16 };

static const uint8_t magic[MAGIC] = {0x45, 0x4b, 0xc3, 0x3c};

uint32_t ek_get32(const uint8_t *from)
{
    return from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

void ek_put32(uint8_t *to, uint32_t value)
{
    to[0] = (uint8_t)value;
    to[1] = (uint8_t)(value >> 8);
    to[2] = (uint8_t)(value >> 16);
    to[3] = (uint8_t)(value >> 24);
}

/* Four bits at a time: 64 bytes of table. `crc`: 0 at first, then the result so far. */
uint32_t ek_crc32(uint32_t crc, const uint8_t *data, uint32_t length)
{
    static const uint32_t table[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
        0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    crc = ~crc;
    for (uint32_t i = 0; i < length; i++) {
        crc ^= data[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

static void receive(uint8_t *to, uint32_t length)
{
    for (uint32_t i = 0; i < length; i++)
        to[i] = ek_uart_receive();
}

static void send(const uint8_t *from, uint32_t length)
{
    for (uint32_t i = 0; i < length; i++)
        ek_uart_send(from[i]);
}

/* Reads a header; true if it is one. It begins where the magic does: no prefix of the magic repeats inside it. */
static int header_received(uint8_t *header)
{
    uint32_t matched = 0;
    while (matched < MAGIC) {
        uint8_t byte = ek_uart_receive();
        matched = byte == magic[matched] ? matched + 1 : byte == magic[0];
    }
    for (uint32_t i = 0; i < MAGIC; i++)
        header[i] = magic[i];
    receive(header + MAGIC, HEADER - MAGIC);
    return ek_crc32(0, header, CHECKED) == ek_get32(header + CHECKED);
}

void ek_frame_receive(struct ek_frame *frame)
{
    uint8_t header[HEADER], check[4];
    for (;;) {
        if (!header_received(header))
            continue;
        frame->kind = header[4];
        frame->status = header[5];
        frame->sequence = (uint16_t)(header[6] | header[7] << 8);
        frame->session = ek_get32(header + 8);
        frame->length = ek_get32(header + 12);
        if (frame->length > EK_FRAME_MOST)
            continue;
        if (frame->length == 0)
            return;
        receive(frame->payload, frame->length);
        receive(check, sizeof check);
        if (ek_crc32(0, frame->payload, frame->length) == ek_get32(check))
            return;
    }
}

void ek_frame_send(const struct ek_frame *frame)
{
    uint8_t header[HEADER], check[4];
    for (uint32_t i = 0; i < MAGIC; i++)
        header[i] = magic[i];
    header[4] = frame->kind;
    header[5] = frame->status;
    header[6] = (uint8_t)frame->sequence;
    header[7] = (uint8_t)(frame->sequence >> 8);
    ek_put32(header + 8, frame->session);
    ek_put32(header + 12, frame->length);
    ek_put32(header + CHECKED, ek_crc32(0, header, CHECKED));
    send(header, HEADER);
    if (frame->length) {
        send(frame->payload, frame->length);
        ek_put32(check, ek_crc32(0, frame->payload, frame->length));
        send(check, sizeof check);
    }
}
