// Speaks to a board by its serial line.
//
//   serial_bench SCRIPT RESULT
//
// SCRIPT: lines `w ADDRESS WORD`, `r ADDRESS` (its word becomes a line of RESULT), `i` (waits until the accelerator has
// ended), `x CYCLES` (pulls the reset pin after so many cycles, for one), `n` (a byte that is no command). Numbers are
// hexadecimal. Exit code 3: no answer.
#include <cstdint>
#include <cstdio>

#include "serial_board.h"

namespace
{

void send(Board &board, unsigned byte)
{
    const unsigned bits = 0x200 | (byte & 255) << 1;
    for (int bit = 0; bit < 10; bit++) {
        board.line(bits >> bit & 1);
        board.idle(CYCLES);
    }
}

void command(Board &board, unsigned letter, uint32_t address)
{
    send(board, letter);
    for (int i = 0; i < 3; i++)
        send(board, address >> (8 * i));
}

int receive(Board &board)
{
    for (long waited = 0; board.line(); waited++) {
        if (waited > 100000)
            return -1;
        board.cycle();
    }
    board.idle(CYCLES / 2);
    int byte = 0;
    for (int bit = 0; bit < 8; bit++) {
        board.idle(CYCLES);
        byte |= board.line() << bit;
    }
    board.idle(CYCLES);
    return board.line() ? byte : -1;
}

} // namespace

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    FILE *script = std::fopen(argv[1], "r"), *result = std::fopen(argv[2], "w");
    if (!script || !result)
        return 2;
    Board board;
    char op = 0;
    while (std::fscanf(script, " %c", &op) == 1) {
        uint32_t address = 0, word = 0;
        if (op == 'w' && std::fscanf(script, "%x %x", &address, &word) == 2) {
            command(board, 'W', address);
            for (int i = 0; i < 4; i++)
                send(board, word >> (8 * i));
        } else if (op == 'r' && std::fscanf(script, "%x", &address) == 1) {
            command(board, 'R', address);
            for (int i = 0; i < 4; i++) {
                const int byte = receive(board);
                if (byte < 0)
                    return 3;
                word |= uint32_t(byte) << (8 * i);
            }
            std::fprintf(result, "%08x\n", word);
        } else if (op == 'i') {
            board.idle(64); // until it has begun
            for (long waited = 0; !board.ended(); waited++) {
                if (waited > 10000000)
                    return 3;
                board.cycle();
            }
        } else if (op == 'x' && std::fscanf(script, "%x", &word) == 1) {
            board.idle(word);
            board.reset();
        } else if (op == 'n') {
            send(board, 0x55);
        } else {
            return 2;
        }
    }
    std::fclose(script);
    return std::fclose(result) ? 2 : 0;
}
