#ifndef EK_DEPTHWISE_H
#define EK_DEPTHWISE_H
#include "ek_conv.h"
EK_INLINE void ek_depthwise_conv2d_s8(const struct ek_conv_shape *s, const struct ek_conv_data *d, const int8_t *x, int8_t *y)
{
  for (int32_t oy=0; oy<s->out_h; oy++) for (int32_t ox=0; ox<s->out_w; ox++) for (int32_t o=0;o<s->out_c;o++) {
    int32_t acc=d->bias[o];
    for (int32_t r=0;r<s->k_h;r++) for(int32_t q=0;q<s->k_w;q++) { int32_t iy=oy*s->stride_h-s->pad_top+r*s->dilation_h, ix=ox*s->stride_w-s->pad_left+q*s->dilation_w;
      int32_t v = (iy<0||ix<0||iy>=s->in_h||ix>=s->in_w)? d->x_zero : x[(iy*s->in_w+ix)*s->in_c+o]; acc += v * d->weights[(r*s->k_w+q)*s->out_c+o]; }
    *y++ = (int8_t)ek_clamp(ek_requantize(acc,d->multiplier[o],d->shift[o])+d->y_zero,d->low,d->high); }
}
#endif
