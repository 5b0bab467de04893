// Feeds eight lanes of requantization with rows of a file, eight per cycle, and writes their results to another.
//
// A row has 20 bytes: 17 of a lane's inputs as requantize_lanes.sv has them, and zero point, least and most, which the
// lane takes LIMITS cycles later. Its result is there LATENCY cycles after the row.
#include "Vrequantize_lanes.h"
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

static constexpr size_t LANES = 8, ROW = 20, INPUTS = 17;

int main(int argc, char **argv)
{
    FILE *source = argc == 3 ? fopen(argv[1], "rb") : nullptr, *result = source ? fopen(argv[2], "wb") : nullptr;
    if (!result)
        return 1;
    std::vector<uint8_t> data;
    uint8_t block[LANES * ROW];
    while (fread(block, sizeof block, 1, source) == 1)
        data.insert(data.end(), block, block + sizeof block);
    size_t count = data.size() / sizeof block;
    Vrequantize_lanes lanes;
    for (size_t cycle = 0; cycle < count + LATENCY; cycle++) {
        uint8_t inputs[LANES * INPUTS] = {}, limits[LANES * 3] = {};
        for (size_t g = 0; g < LANES; g++) {
            if (cycle < count)
                memcpy(inputs + g * INPUTS, &data[(cycle * LANES + g) * ROW], INPUTS);
            if (cycle >= LIMITS && cycle - LIMITS < count)
                memcpy(limits + g * 3, &data[((cycle - LIMITS) * LANES + g) * ROW + INPUTS], 3);
        }
        memcpy(&lanes.rows, inputs, sizeof inputs);
        memcpy(&lanes.limits, limits, sizeof limits);
        lanes.clk = 0;
        lanes.eval();
        lanes.clk = 1;
        lanes.eval();
        if (cycle + 1 >= LATENCY && cycle + 1 - LATENCY < count)
            fwrite(&lanes.results, sizeof lanes.results, 1, result);
    }
    return fclose(result) == 0 ? 0 : 1;
}
