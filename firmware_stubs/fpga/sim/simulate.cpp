// Simulates ek_overlay cycle by cycle with a memory and a host, as the model of its RTL by Verilator.
//
//   simulate JOB RESULT latency=N jitter=N stall=N seed=N beat=N cycles=N
//
// Numbers in JOB and RESULT are 32 bits, little-endian. JOB: bytes of the stream, the stream; how many inputs, and of
// each first word and words; the same of outputs; samples; of every sample its inputs' words. RESULT: of every sample
// its outputs' words; then, of the first sample, commands and counters of each (LOG), and how many cycles were
// simulated in all. `latency`: cycles from a read's request to its answer; `jitter`: up to so many more; `stall`: of
// 256 cycles so many, at random, in which the memory takes no request, and as many in which it gives no answer; `beat`:
// from an answer to the next, at least, on average, in cycles / 65536. Exit codes: 0 done, 2 the job is damaged, 3 the
// accelerator has not finished within `cycles`, 4 the ID register is wrong.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <memory>
#include <vector>

#include "Vek_overlay.h"
#include "verilated.h"
#ifdef EK_TRACE
#include "verilated_vcd_c.h"
#endif

namespace
{

constexpr uint64_t CYCLE = 65536;

struct Settings {
    uint64_t latency = 8, jitter = 0, stall = 0, seed = 1, beat = CYCLE, cycles = 100000000;
};

struct Answer {
    uint64_t when;
    uint32_t address;
};

class Machine
{
  public:
    Machine(const Settings &settings, const std::vector<uint8_t> &stream)
        : settings_(settings), stream_(stream), random_(settings.seed * 2654435761u + 1)
    {
#ifdef EK_TRACE
        Verilated::traceEverOn(true);
        top_->trace(&trace_, 99);
        trace_.open("trace.vcd"); // every signal after every rising edge
#endif
        top_->clk = 0;
        top_->rst = 1;
        top_->host_valid = 0;
        top_->mem_arready = 0;
        top_->mem_rvalid = 0;
        for (int i = 0; i < 8; i++)
            cycle();
        top_->rst = 0;
        cycle();
    }

    void write(uint32_t address, uint32_t value)
    {
        top_->host_valid = 1;
        top_->host_write = 1;
        top_->host_addr = address;
        top_->host_wdata = value;
        cycle();
        top_->host_valid = 0;
    }

    uint32_t read(uint32_t address)
    {
        std::vector<uint32_t> one;
        read(address, 1, one);
        return one[0];
    }

    void read(uint32_t address, uint32_t words, std::vector<uint32_t> &into)
    {
        uint32_t asked = 0, got = 0;
        while (got < words) {
            top_->host_valid = asked < words;
            top_->host_write = 0;
            top_->host_addr = address + 4 * asked;
            asked += asked < words;
            cycle();
            if (top_->host_rvalid) {
                into.push_back(top_->host_rdata);
                got++;
            }
        }
        top_->host_valid = 0;
    }

    bool finish()
    {
        const uint64_t last = now_ + settings_.cycles;
        while (!top_->irq) {
            if (now_ >= last)
                return false;
            cycle();
        }
        return true;
    }

    void cycle()
    {
        top_->mem_arready = !stalled();
        const bool rested = next_ <= now_ * CYCLE;
        const bool gives = rested && !answers_.empty() && answers_.front().when <= now_ && !stalled();
        top_->mem_rvalid = gives;
        if (gives) {
            uint64_t beat = 0;
            const uint32_t bytes = MEM_BITS / 8, at = answers_.front().address;
            for (uint32_t i = 0; i < bytes; i++)
                if (at + i < stream_.size())
                    beat |= uint64_t(stream_[at + i]) << (8 * i);
            top_->mem_rdata = beat;
        }
        top_->eval();
        const bool asks = top_->mem_arvalid && top_->mem_arready, taken = top_->mem_rready && gives;
        const uint32_t address = top_->mem_araddr;
        top_->clk = 1;
        top_->eval();
#ifdef EK_TRACE
        trace_.dump(now_);
#endif
        top_->clk = 0;
        top_->eval();
        if (taken) {
            answers_.pop_front();
            next_ = std::max(next_, now_ ? (now_ - 1) * CYCLE : 0) + settings_.beat;
        }
        if (asks) {
            const uint64_t more = settings_.jitter ? random() % (settings_.jitter + 1) : 0;
            answers_.push_back({now_ + settings_.latency + more, address});
        }
        now_++;
    }

    uint64_t now() const
    {
        return now_;
    }

  private:
    uint32_t random()
    {
        random_ ^= random_ << 13;
        random_ ^= random_ >> 7;
        random_ ^= random_ << 17;
        return uint32_t(random_ >> 11);
    }
    bool stalled()
    {
        return settings_.stall && random() % 256 < settings_.stall;
    }

    Settings settings_;
    const std::vector<uint8_t> &stream_;
    uint64_t random_, now_ = 0, next_ = 0; // next_: when an answer may come, in cycles / 65536
    std::deque<Answer> answers_;
    std::unique_ptr<Vek_overlay> top_{new Vek_overlay};
#ifdef EK_TRACE
    VerilatedVcdC trace_;
#endif
};

class Job
{
  public:
    explicit Job(const char *path) : file_(std::fopen(path, "rb"))
    {
    }
    ~Job()
    {
        if (file_)
            std::fclose(file_);
    }
    bool ok() const
    {
        return file_ && ok_;
    }
    uint32_t number()
    {
        uint32_t value = 0;
        ok_ = ok_ && file_ && std::fread(&value, 4, 1, file_) == 1;
        return ok_ ? value : 0;
    }
    void bytes(std::vector<uint8_t> &into, size_t count)
    {
        into.resize(count);
        ok_ = ok_ && std::fread(into.data(), 1, count, file_) == count;
    }

  private:
    FILE *file_;
    bool ok_ = true;
};

constexpr uint32_t ID = 0x00, CONTROL = 0x08, BASE = 0x10, BEATS = 0x14, COMMANDS = 0x34, LOG = 0x10000,
                   MEMORY = 0x80000, MAGIC = 0x454b4f31, MOST = 1 << 28, MOST_PORTS = 4096, MOST_WORDS = 131072;

struct Place {
    uint32_t first, words;
};

bool places(Job &job, std::vector<Place> &into)
{
    const uint32_t count = job.number();
    if (!job.ok() || count > MOST_PORTS)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        Place place{job.number(), job.number()};
        if (!job.ok() || place.first > MOST_WORDS || place.words > MOST_WORDS - place.first)
            return false;
        into.push_back(place);
    }
    return true;
}

int run(Job &job, FILE *result, const Settings &settings)
{
    std::vector<uint8_t> stream;
    const uint32_t size = job.number();
    if (!job.ok() || size > MOST)
        return 2;
    job.bytes(stream, size);
    std::vector<Place> inputs, outputs;
    if (!places(job, inputs) || !places(job, outputs))
        return 2;
    const uint32_t samples = job.number();
    if (!job.ok())
        return 2;

    Machine machine(settings, stream);
    if (machine.read(ID) != MAGIC)
        return 4;
    std::vector<uint32_t> log;
    for (uint32_t sample = 0; sample < samples; sample++) {
        for (const Place &place : inputs)
            for (uint32_t i = 0; i < place.words; i++) {
                const uint32_t word = job.number();
                if (!job.ok())
                    return 2;
                machine.write(MEMORY + 4 * (place.first + i), word);
            }
        machine.write(BASE, 0);
        machine.write(BEATS, size / (MEM_BITS / 8));
        machine.write(CONTROL, 1);
        machine.cycle(); // until it has begun
        if (!machine.finish())
            return 3;
        for (const Place &place : outputs) {
            std::vector<uint32_t> words;
            machine.read(MEMORY + 4 * place.first, place.words, words);
            std::fwrite(words.data(), 4, words.size(), result);
        }
        if (sample == 0) {
            const uint32_t commands = machine.read(COMMANDS);
            log.push_back(commands);
            for (uint32_t i = 0; i < commands && i < LOG_DEPTH; i++)
                machine.read(LOG + 32 * i, 6, log);
        }
    }
    log.push_back(uint32_t(machine.now()));
    std::fwrite(log.data(), 4, log.size(), result);
    return 0;
}

} // namespace

int main(int argc, char **argv)
{
    Settings settings;
    for (int i = 3; i < argc; i++) {
        unsigned long long value = 0;
        char name[16];
        if (std::sscanf(argv[i], "%15[a-z]=%llu", name, &value) != 2)
            return 2;
        if (!std::strcmp(name, "latency"))
            settings.latency = value;
        else if (!std::strcmp(name, "jitter"))
            settings.jitter = value;
        else if (!std::strcmp(name, "stall"))
            settings.stall = value;
        else if (!std::strcmp(name, "seed"))
            settings.seed = value;
        else if (!std::strcmp(name, "beat"))
            settings.beat = value;
        else if (!std::strcmp(name, "cycles"))
            settings.cycles = value;
        else
            return 2;
    }
    if (argc < 3)
        return 2;
    Job job(argv[1]);
    FILE *result = std::fopen(argv[2], "wb");
    if (!job.ok() || !result)
        return 2;
    const int code = run(job, result, settings);
    if (std::fclose(result))
        return 2;
    return code;
}
