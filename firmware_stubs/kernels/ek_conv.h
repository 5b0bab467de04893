#ifndef EK_CONV_H
#define EK_CONV_H
#include "ek_math.h"
struct ek_conv_shape { int32_t in_h, in_w, in_c, out_h, out_w, out_c, k_h, k_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left, groups; };
struct ek_conv_data { const int8_t *weights; const int32_t *bias; const int32_t *multiplier; const int8_t *shift; int32_t x_zero, y_zero, low, high; };
EK_INLINE void ek_conv2d_s8(const struct ek_conv_shape *s, const struct ek_conv_data *d, const int8_t *x, int8_t *y)
{
  for (int32_t oy=0; oy<s->out_h; oy++) for (int32_t ox=0; ox<s->out_w; ox++) for (int32_t o=0;o<s->out_c;o++) {
    int32_t acc=d->bias[o]; const int8_t*w=d->weights+o*s->k_h*s->k_w*s->in_c;
    for (int32_t r=0;r<s->k_h;r++) for(int32_t q=0;q<s->k_w;q++) { int32_t iy=oy*s->stride_h-s->pad_top+r*s->dilation_h, ix=ox*s->stride_w-s->pad_left+q*s->dilation_w;
      for (int32_t c=0;c<s->in_c;c++) { int32_t v = (iy<0||ix<0||iy>=s->in_h||ix>=s->in_w)? d->x_zero : x[(iy*s->in_w+ix)*s->in_c+c]; acc += v * *w++; } }
    *y++ = (int8_t)ek_clamp(ek_requantize(acc,d->multiplier[o],d->shift[o])+d->y_zero,d->low,d->high); }
}
#endif
