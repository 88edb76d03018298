#pragma STDC FP_CONTRACT OFF
#include "ald_quantise.h"
#include "ald_clones.h"

#define T float
#define NAME(x) x##_f32
#include "quantise.inc"
#undef T
#undef NAME
#define T double
#define NAME(x) x##_f64
#include "quantise.inc"
