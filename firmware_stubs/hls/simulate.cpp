// Runs the C++ of an hls4ml project: simulate JOB RESULT SAMPLES
//
// JOB has, for each sample, the network's inputs as bytes, one after the other; RESULT gets its outputs likewise.
// INPUTS, a macro, is how many of the top function's streams are inputs.
#include "firmware/edgekit_network.cpp" // one unit: its headers take longest

#include <cstdio>
#include <cstdlib>
#include <tuple>
#include <utility>

namespace
{

template <class T> void feed(std::FILE *file, hls::stream<T> &stream, unsigned long numbers)
{
    for (unsigned long i = 0; i < numbers / T::size; i++) {
        T pack;
        for (unsigned j = 0; j < T::size; j++) {
            int byte = std::fgetc(file);
            if (byte == EOF) {
                std::exit(2);
            }
            pack[j] = static_cast<signed char>(byte);
        }
        stream.write(pack);
    }
}

template <class T> void drain(std::FILE *file, hls::stream<T> &stream)
{
    while (!stream.empty()) {
        T pack = stream.read();
        for (unsigned j = 0; j < T::size; j++) {
            std::fputc(static_cast<int>(pack[j]) & 0xff, file);
        }
    }
}

const unsigned long sizes[] = {SIZES};

template <class... T, std::size_t... I, std::size_t... O>
void run(void (*network)(hls::stream<T> &...), std::index_sequence<I...>, std::index_sequence<O...>, std::FILE *job,
         std::FILE *result)
{
    std::tuple<hls::stream<T>...> streams;
    (feed(job, std::get<I>(streams), sizes[I]), ...);
    std::apply(network, streams);
    (drain(result, std::get<INPUTS + O>(streams)), ...);
}

template <class... T> void all(void (*network)(hls::stream<T> &...), std::FILE *job, std::FILE *result, long samples)
{
    for (long n = 0; n < samples; n++) {
        run(network, std::make_index_sequence<INPUTS>{}, std::make_index_sequence<sizeof...(T) - INPUTS>{}, job,
            result);
    }
}

} // namespace

int main(int argc, char **argv)
{
    if (argc != 4) {
        return 2;
    }
    std::FILE *job = std::fopen(argv[1], "rb");
    std::FILE *result = std::fopen(argv[2], "wb");
    if (job == nullptr || result == nullptr) {
        return 2;
    }
    all(edgekit_network, job, result, std::strtol(argv[3], nullptr, 10));
    return std::fclose(result) == 0 ? 0 : 2;
}
