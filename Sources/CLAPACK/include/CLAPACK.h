#pragma once
// LAPACK on one thread: the same bits for any number of cores. No logic.
#include <lapacke.h>

void openblas_set_num_threads(int);   // cblas.h of OpenBLAS; declared here since the reference cblas.h lacks it
static inline void clapack_start(void) { openblas_set_num_threads(1); }
