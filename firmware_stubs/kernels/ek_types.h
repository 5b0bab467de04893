/* What the kernels take: sizes, which the compiler folds where they are constants, and a layer's own data. */
#ifndef EK_TYPES_H
#define EK_TYPES_H

#include "ek_base.h"

/* How weights are packed, for all layers of a network: the generator defines EK_PACKING before it includes the kernels.
   Any packing works on any core; each is fast where its instructions are. */
#define EK_PACKING_ROWS 0   /* portable C */
#define EK_PACKING_PAIRS 1  /* the DSP extension of Cortex-M4, M7, M33 */
#define EK_PACKING_BLOCKS 2 /* the vector extension (MVE) of Cortex-M55, M85 */
#ifndef EK_PACKING
#define EK_PACKING EK_PACKING_ROWS
#endif

/* Flags of a layer: what the generator knows of its numbers. 0 is always right; edgekit/codegen/schedule/mcu/packing.py
   computes them. */

/* One multiplier and one shift serve all output channels. */
#define EK_PER_TENSOR 1
/* The limits are those of the output's type. */
#define EK_SATURATES 2
/* Every sum, partial ones included, lies within (-2^30, 2^30), and every shift within [-30, -2]. */
#define EK_NARROW 4
/* Every sum lies within (-2^28, 2^28), and every shift within [-28, 0]; not NARROW. */
#define EK_NEAR 16
/* The weights are packed as rows, whatever EK_PACKING says. */
#define EK_PLAIN 8
/* Every weight is -8 to 7, and takes half a byte. */
#define EK_INT4 32
/* The generator defines this as 0 where no layer is EK_INT4: kernels without the code for it. */
#ifndef EK_HAS_INT4
#define EK_HAS_INT4 1
#endif

/* A convolution; a depthwise one has out_c = in_c * multiplier and ignores `groups`. NHWC, one sample. */
struct ek_conv_shape {
    int32_t in_h, in_w, in_c;
    int32_t out_h, out_w, out_c;
    int32_t k_h, k_w;
    int32_t stride_h, stride_w;
    int32_t dilation_h, dilation_w;
    int32_t pad_top, pad_left;
    int32_t groups;
    /* Output rows that a depthwise convolution computes at a time, 0: all. Its scratch holds one channel of them. */
    int32_t strip;
    int32_t flags;
};

/* A product of `rows` vectors of `in` elements with constant weights. */
struct ek_dense_shape {
    int32_t rows, in, out;
    int32_t flags;
};

/* Weights, packed by edgekit/codegen/schedule/mcu/packing.py, and requantization.

   weights, aligned to 4 bytes: as EK_PACKING_ROWS, [out_c][k_h][k_w][in_c / groups] or [out][in], each output channel
   padded with zeros to a multiple of 4 bytes. As EK_PACKING_PAIRS, see ek_pairs.h, as
   EK_PACKING_BLOCKS, ek_blocks.h. Depthwise: [out_c][k_h][k_w],
   where EK_PACKING_PAIRS pads rows of three with a zero, and EK_PACKING_BLOCKS has [k_h][k_w][out_c] unless EK_PLAIN.
   EK_INT4: two weights per byte, the first in its lower half; rows are padded to whole bytes. Depthwise, a channel is
   such a row. EK_PACKING_BLOCKS has [k_h][k_w][out_c / 8][4] unless EK_PLAIN: byte i of a group of eight channels has
   channel i in its lower half, channel 4 + i in its upper half.
   bias: the layer's bias less x_zero * sum(weights of the channel). Padding pixels are x_zero.
   multiplier, shift: TFLite's fixed-point form of the scales, shift > 0 to the left; one per output channel.
   channels: in place of these three where convolutions are packed as EK_PACKING_PAIRS and EK_NARROW or EK_NEAR: for
   each output channel 2 * bias, multiplier, and 2^(32 + shift) or 2^(30 + shift).
   EK_PACKING_BLOCKS has them, too, for depthwise convolutions that are EK_NARROW or EK_NEAR and neither EK_PLAIN nor
   EK_INT4: for each eight of the first out_c / 16 * 16 channels the biases of the even and of the odd ones, their
   multipliers and their shifts.
   EK_PACKING_BLOCKS has three more zeros in each of bias, multiplier and shift.
   low, high: least and largest result, y_zero included. */
struct ek_conv_data {
    const int8_t *weights;
    const int32_t *bias;
    const int32_t *multiplier;
    const int8_t *shift;
    const int32_t *channels;
    int32_t x_zero, y_zero, low, high;
};

#endif
