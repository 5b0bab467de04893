// Simulates a network in logic (edgekit_network) cycle by cycle: a new sample goes in at every clock, as on the chip.
//
//   unrolled JOB RESULT STAGES SAMPLES
//
// JOB holds the samples, RESULT gets their outputs: one byte per element (IN_BYTES and OUT_BYTES of each sample).
// STAGES: registers between input and output without the last one. Exit codes: 0 done, 2 the job is damaged.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "Vedgekit_network.h"
#include "verilated.h"

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    const size_t stages = strtoul(argv[3], nullptr, 10), samples = strtoul(argv[4], nullptr, 10);
    std::vector<unsigned char> in(samples * IN_BYTES), out(samples * OUT_BYTES);
    FILE *job = fopen(argv[1], "rb");
    if (!job || fread(in.data(), 1, in.size(), job) != in.size())
        return 2;
    fclose(job);
    auto top = std::make_unique<Vedgekit_network>();
    static_assert(sizeof top->x >= IN_BYTES && sizeof top->y >= OUT_BYTES, "a port is too narrow");
    for (size_t cycle = 0; cycle < samples + stages; cycle++) {
        memset(&top->x, 0, sizeof top->x);
        if (cycle < samples)
            memcpy(&top->x, &in[cycle * IN_BYTES], IN_BYTES); // little-endian, as Verilator's words
        top->clk = 0;
        top->eval();
        top->clk = 1;
        top->eval();
        if (cycle >= stages)
            memcpy(&out[(cycle - stages) * OUT_BYTES], &top->y, OUT_BYTES);
    }
    FILE *result = fopen(argv[2], "wb");
    if (!result || fwrite(out.data(), 1, out.size(), result) != out.size() || fclose(result))
        return 2;
    return 0;
}
