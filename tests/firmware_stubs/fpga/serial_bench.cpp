// Speaks to ek_uart_top by its serial line.
//
//   serial_bench SCRIPT RESULT
//
// SCRIPT: lines `w ADDRESS WORD`, `r ADDRESS` (its word becomes a line of RESULT), `i` (waits until the accelerator has
// ended), `x CYCLES` (pulls the reset pin after so many cycles, for one), `n` (a byte that is no command). Numbers are
// hexadecimal. Exit code 3: no answer.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>

#include "Vek_uart_top.h"
#include "verilated.h"

namespace
{

class Board
{
  public:
    Board()
    {
        top_->clk = 0;
        top_->rx = 1;
        reset();
    }
    void reset()
    {
        top_->rst_n = 0;
        cycle();
        top_->rst_n = 1;
        idle(200);
    }
    void cycle()
    {
        top_->eval();
        top_->clk = 1;
        top_->eval();
        top_->clk = 0;
        top_->eval();
    }
    void idle(long cycles)
    {
        for (long i = 0; i < cycles; i++)
            cycle();
    }
    void send(unsigned byte)
    {
        const unsigned bits = 0x200 | (byte & 255) << 1;
        for (int bit = 0; bit < 10; bit++) {
            top_->rx = bits >> bit & 1;
            idle(CYCLES);
        }
    }
    void command(unsigned letter, uint32_t address)
    {
        send(letter);
        for (int i = 0; i < 3; i++)
            send(address >> (8 * i));
    }
    int receive()
    {
        for (long waited = 0; top_->tx; waited++) {
            if (waited > 100000)
                return -1;
            cycle();
        }
        idle(CYCLES / 2);
        int byte = 0;
        for (int bit = 0; bit < 8; bit++) {
            idle(CYCLES);
            byte |= top_->tx << bit;
        }
        idle(CYCLES);
        return top_->tx ? byte : -1;
    }
    bool ended() const
    {
        return top_->led;
    }

  private:
    std::unique_ptr<Vek_uart_top> top_{new Vek_uart_top};
};

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
            board.command('W', address);
            for (int i = 0; i < 4; i++)
                board.send(word >> (8 * i));
        } else if (op == 'r' && std::fscanf(script, "%x", &address) == 1) {
            board.command('R', address);
            for (int i = 0; i < 4; i++) {
                const int byte = board.receive();
                if (byte < 0)
                    return 3;
                word |= uint32_t(byte) << (8 * i);
            }
            std::fprintf(result, "%08x\n", word);
        } else if (op == 'i') {
            for (long waited = 0; !board.ended(); waited++) {
                if (waited > 10000000)
                    return 3;
                board.cycle();
            }
        } else if (op == 'x' && std::fscanf(script, "%x", &word) == 1) {
            board.idle(word);
            board.reset();
        } else if (op == 'n') {
            board.send(0x55);
        } else {
            return 2;
        }
    }
    std::fclose(script);
    return std::fclose(result) ? 2 : 0;
}
