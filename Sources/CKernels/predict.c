#pragma STDC FP_CONTRACT OFF
#include <string.h>
#include "ald_predict.h"
#include "ald_clones.h"

enum { CHUNK = 256, LANES = 16 };

#define T float
#define NAME(x) x##_f32
#include "predict.inc"
#undef T
#undef NAME
#define T double
#define NAME(x) x##_f64
#include "predict.inc"
