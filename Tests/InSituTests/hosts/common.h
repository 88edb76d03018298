// The run that the hosts of all languages write, in integers scaled by a power of two, so that every language has the same values.
#pragma once
#include <alidade.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NZ = 40, NY = 33, NX = 36, STEPS = 3 };

static double value(int field, int step, int64_t k, int64_t j, int64_t i) {
  return ((i - 20) * (j - 9) + (k - 5) * (i + 3 * j) + 17 * step + field * k * k) / 64.0;
}

#define TRY(call) do { int s_ = (call); if (s_) { fprintf(stderr, "%s:%d: status %d: %s\n", __FILE__, __LINE__, s_, ald_last_error(w)); MPI_Abort(MPI_COMM_WORLD, 1); } } while (0)
