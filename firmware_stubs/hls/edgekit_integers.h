// Layers of whole numbers that hls4ml lacks: with them, a network gives the bits of TFLite's reference kernels.
//
// A rounding is clip((total + offset) >> shift, low, high), in total_t, which holds everything on the way. It has one
// gain and offset per channel, or one for all (n_channels is 1). Where CONFIG_T::split, totals below a border have an
// offset of their own.
#ifndef EDGEKIT_INTEGERS_H_
#define EDGEKIT_INTEGERS_H_

#include "hls_stream.h"
#include "nnet_common.h"
#include "nnet_types.h"

namespace nnet
{

template <class res_T, typename CONFIG_T>
res_T edgekit_rounded(typename CONFIG_T::total_t total, typename CONFIG_T::offset_t offset,
                      typename CONFIG_T::below_t below, typename CONFIG_T::border_t border)
{
#pragma HLS INLINE
    typename CONFIG_T::total_t sum = total + offset;
    if (CONFIG_T::split && total < border) {
        sum = total + below;
    }
    typename CONFIG_T::total_t moved = sum >> CONFIG_T::shift;
    if (moved < CONFIG_T::low) {
        moved = CONFIG_T::low;
    } else if (moved > CONFIG_T::high) {
        moved = CONFIG_T::high;
    }
    return res_T(moved);
}

// One value.
template <class data_T, class res_T, typename CONFIG_T>
void edgekit_requantize(hls::stream<data_T> &data, hls::stream<res_T> &res,
                        typename CONFIG_T::gain_t gain[CONFIG_T::n_channels],
                        typename CONFIG_T::offset_t offset[CONFIG_T::n_channels],
                        typename CONFIG_T::below_t below[CONFIG_T::n_channels],
                        typename CONFIG_T::border_t border[CONFIG_T::n_channels])
{
#pragma HLS ARRAY_PARTITION variable = gain complete
#pragma HLS ARRAY_PARTITION variable = offset complete
#pragma HLS ARRAY_PARTITION variable = below complete
#pragma HLS ARRAY_PARTITION variable = border complete
RequantizeLoop:
    for (unsigned i = 0; i < CONFIG_T::n_in / data_T::size; i++) {
#pragma HLS PIPELINE II = CONFIG_T::reuse_factor
        data_T in_data = data.read();
        res_T out_data;
        PRAGMA_DATA_PACK(out_data)
    RequantizePack:
        for (unsigned j = 0; j < data_T::size; j++) {
#pragma HLS UNROLL
            unsigned n = j % CONFIG_T::n_channels;
            typename CONFIG_T::total_t total = in_data[j] * gain[n];
            out_data[j] = edgekit_rounded<typename res_T::value_type, CONFIG_T>(total, offset[n], below[n], border[n]);
        }
        res.write(out_data);
    }
}

// The sum of two values, each times its gain.
template <class first_T, class second_T, class res_T, typename CONFIG_T>
void edgekit_combine(hls::stream<first_T> &first, hls::stream<second_T> &second, hls::stream<res_T> &res,
                     typename CONFIG_T::gain_t gain[1], typename CONFIG_T::other_t other[1],
                     typename CONFIG_T::offset_t offset[1], typename CONFIG_T::below_t below[1],
                     typename CONFIG_T::border_t border[1])
{
CombineLoop:
    for (unsigned i = 0; i < CONFIG_T::n_in / first_T::size; i++) {
#pragma HLS PIPELINE II = CONFIG_T::reuse_factor
        first_T one = first.read();
        second_T two = second.read();
        res_T out_data;
        PRAGMA_DATA_PACK(out_data)
    CombinePack:
        for (unsigned j = 0; j < first_T::size; j++) {
#pragma HLS UNROLL
            typename CONFIG_T::total_t total = one[j] * gain[0] + two[j] * other[0];
            out_data[j] = edgekit_rounded<typename res_T::value_type, CONFIG_T>(total, offset[0], below[0], border[0]);
        }
        res.write(out_data);
    }
}

// A function of one number, as a table of its results from the least number on.
template <class data_T, class res_T, typename CONFIG_T>
void edgekit_table(hls::stream<data_T> &data, hls::stream<res_T> &res,
                   typename CONFIG_T::table_t table[CONFIG_T::n_table])
{
TableLoop:
    for (unsigned i = 0; i < CONFIG_T::n_in / data_T::size; i++) {
#pragma HLS PIPELINE
        data_T in_data = data.read();
        res_T out_data;
        PRAGMA_DATA_PACK(out_data)
    TablePack:
        for (unsigned j = 0; j < data_T::size; j++) {
#pragma HLS UNROLL
            out_data[j] = table[int(in_data[j]) - CONFIG_T::low];
        }
        res.write(out_data);
    }
}

// The sum of all pixels, by channel.
template <class data_T, class res_T, typename CONFIG_T>
void edgekit_sum(hls::stream<data_T> &data, hls::stream<res_T> &res)
{
    res_T sums;
    PRAGMA_DATA_PACK(sums)
SumClear:
    for (unsigned j = 0; j < res_T::size; j++) {
#pragma HLS UNROLL
        sums[j] = 0;
    }
SumLoop:
    for (unsigned i = 0; i < CONFIG_T::n_in / data_T::size; i++) {
#pragma HLS PIPELINE
        data_T in_data = data.read();
    SumPack:
        for (unsigned j = 0; j < data_T::size; j++) {
#pragma HLS UNROLL
            sums[j] += in_data[j];
        }
    }
    res.write(sums);
}

} // namespace nnet
#endif
