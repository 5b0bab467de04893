/* The kernels as functions of a shared library, and what the tests need to know of the structures. */
#include "ek_conv.h"
#include "ek_conv_words.h"
#include "ek_dense.h"
#include "ek_depthwise.h"
#include "ek_floats.h"

void conv2d(const struct ek_conv_shape *s, const struct ek_conv_data *d, const int8_t *x, int8_t *y, void *scratch);
void depthwise(const struct ek_conv_shape *s, const struct ek_conv_data *d, const int8_t *x, int8_t *y, void *scratch);
void dense(const struct ek_dense_shape *s, const struct ek_conv_data *d, const int8_t *x, int8_t *y);
void conv2d_f32(const struct ek_conv_shape *s, const struct ek_conv_data_f32 *d, const void *x, void *y);
void depthwise_f32(const struct ek_conv_shape *s, const struct ek_conv_data_f32 *d, const void *x, void *y);
void dense_f32(const struct ek_dense_shape *s, const struct ek_conv_data_f32 *d, const void *x, void *y);
void conv2d_s16(const struct ek_conv_shape *s, const struct ek_word_data *d, const void *x, void *y, void *scratch);
void depthwise_s16(const struct ek_conv_shape *s, const struct ek_word_data *d, const void *x, void *y, void *scratch);
void dense_s16(const struct ek_dense_shape *s, const struct ek_word_data *d, const void *x, void *y, void *scratch);
void rescale(const int32_t *x, const int32_t *multiplier, const int32_t *shift, int32_t count, int32_t *twice,
             int64_t *once);

void conv2d(const struct ek_conv_shape *s, const struct ek_conv_data *d, const int8_t *x, int8_t *y, void *scratch)
{
    ek_conv2d_s8(s, d, x, y, scratch);
}

void depthwise(const struct ek_conv_shape *s, const struct ek_conv_data *d, const int8_t *x, int8_t *y, void *scratch)
{
    ek_depthwise_conv2d_s8(s, d, x, y, scratch);
}

void dense(const struct ek_dense_shape *s, const struct ek_conv_data *d, const int8_t *x, int8_t *y)
{
    ek_dense_s8(s, d, x, y);
}

void conv2d_f32(const struct ek_conv_shape *s, const struct ek_conv_data_f32 *d, const void *x, void *y)
{
    ek_conv2d_f32(s, d, x, y);
}

void depthwise_f32(const struct ek_conv_shape *s, const struct ek_conv_data_f32 *d, const void *x, void *y)
{
    ek_depthwise_conv2d_f32(s, d, x, y);
}

void dense_f32(const struct ek_dense_shape *s, const struct ek_conv_data_f32 *d, const void *x, void *y)
{
    ek_dense_f32(s, d, x, y);
}

void conv2d_s16(const struct ek_conv_shape *s, const struct ek_word_data *d, const void *x, void *y, void *scratch)
{
    ek_conv2d_s16(s, d, x, y, scratch);
}

void depthwise_s16(const struct ek_conv_shape *s, const struct ek_word_data *d, const void *x, void *y, void *scratch)
{
    (void)scratch;
    ek_depthwise_conv2d_s16(s, d, x, y);
}

void dense_s16(const struct ek_dense_shape *s, const struct ek_word_data *d, const void *x, void *y, void *scratch)
{
    ek_dense_s16(s, d, x, y, scratch);
}

void rescale(const int32_t *x, const int32_t *multiplier, const int32_t *shift, int32_t count, int32_t *twice,
             int64_t *once)
{
    for (int32_t i = 0; i < count; i++) {
        twice[i] = ek_requantize(x[i], multiplier[i], shift[i]);
        once[i] = ek_requantize_once(x[i], multiplier[i], shift[i]);
    }
}
