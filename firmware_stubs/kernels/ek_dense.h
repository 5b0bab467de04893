#ifndef EK_DENSE_H
#define EK_DENSE_H
#include "ek_conv.h"
struct ek_dense_shape { int32_t rows, in, out; };
EK_INLINE void ek_dense_s8(const struct ek_dense_shape *s, const struct ek_conv_data *d, const int8_t *x, int8_t *y)
{
  for (int32_t r=0;r<s->rows;r++,x+=s->in) for (int32_t o=0;o<s->out;o++) { int32_t acc=d->bias[o]; for(int32_t i=0;i<s->in;i++) acc+=x[i]*d->weights[o*s->in+i];
    *y++ = (int8_t)ek_clamp(ek_requantize_once(acc,d->multiplier[o],d->shift[o])+d->y_zero,d->low,d->high); }
}
#endif
