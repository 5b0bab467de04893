// Writes to an SDRAM by its controller, and reads it.
//
//   sdram_bench KIND BEATS SEED
//
// KIND: `stream` reads consecutive beats as fast as they come; `random` any beats, with writes to the same rows in
// between, requests and answers that wait at random. Prints how many cycles the first answer took, and how many the
// others. Exit code 1: a word is not what was written; 3: nothing comes.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <vector>

#include "Vsdram_bench.h"
#include "verilated.h"

namespace
{

constexpr uint32_t WORDS = 1 << 21, ROW = 256, READ = 96; // of each row's words, the last half are never read
uint64_t state;

uint32_t draw()
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return uint32_t(state >> 16);
}

Vsdram_bench *top; // never deleted: it must not outlive what Verilator keeps
long now;

void cycle()
{
    top->clk = 1;
    top->eval();
    top->settle = 0;
    top->later = 0;
    top->eval();
    top->clk = 0;
    top->eval();
    top->later = 1;
    top->settle = 1;
    top->eval();
    now++;
}

void put(std::vector<uint32_t> &words, uint32_t place)
{
    words[place] = draw();
    top->write = 1;
    top->write_addr = place;
    top->write_data = words[place];
    cycle();
    top->write = 0;
    for (long end = now + 300; top->writing; cycle())
        if (now > end)
            std::exit(3);
}

} // namespace

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    const bool any = !std::strcmp(argv[1], "random");
    const long beats = std::atol(argv[2]);
    state = 88172645463325252ull + std::strtoull(argv[3], nullptr, 10);
    top = new Vsdram_bench;
    top->rst = 1;
    for (int i = 0; i < 10; i++)
        cycle();
    top->rst = 0;
    while (!top->ready)
        cycle();

    std::vector<uint32_t> words(WORDS);
    const uint32_t count = any ? 4000 : uint32_t(beats / 2);
    std::vector<uint32_t> places(count);
    for (uint32_t i = 0; i < count; i++)
        put(words, places[i] = any ? draw() % (WORDS / ROW) * ROW + draw() % READ : i);

    std::deque<uint16_t> expected;
    long asked = 0, got = 0, begun = now, first = 0, quiet = 0;
    uint32_t place = 0;
    while (got < beats) {
        top->arvalid = asked < beats && !(any && draw() % 4 == 0);
        top->rready = !(any && draw() % 3 == 0);
        if (!any)
            place = uint32_t(asked);
        else if (asked % 64 == 0)
            place = 2 * places[draw() % count];
        top->araddr = 2 * place;
        top->eval();
        const bool asks = top->arvalid && top->arready, gives = top->rvalid && top->rready;
        const uint16_t word = top->rdata;
        if (asks) {
            expected.push_back(uint16_t(words[(place >> 1) % WORDS] >> (place & 1 ? 16 : 0)));
            asked++;
            place++;
        }
        if (gives) {
            if (word != expected.front())
                return 1;
            expected.pop_front();
            if (got++ == 0)
                first = now - begun;
            quiet = 0;
        }
        if (++quiet > 2000)
            return 3;
        cycle();
        if (any && draw() % 64 == 0) {
            top->arvalid = 0;
            top->rready = 0;
            put(words, place / 2 / ROW * ROW + ROW / 2 + draw() % (ROW / 2));
        }
    }
    std::printf("%ld %ld\n", first, now - begun - first);
    return 0;
}
