// The run that the hosts of all languages write, in integers scaled by a power of two, so that every language has the same values.
#pragma once
#include <alidade.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NZ = 40, NY = 33, NX = 36, STEPS = 3 };

static inline double value(int field, int step, int64_t k, int64_t j, int64_t i) {
  return ((i - 20) * (j - 9) + (k - 5) * (i + 3 * j) + 17 * step + field * k * k) / 64.0;
}

// Twelve waves that travel, on no lattice; sums and products in this order, so that every language has the same bits.
static inline double flow(int field, int step, int64_t k, int64_t j, int64_t i) {
  double v = 0;
  for (int m = 1; m <= 12; m++) {
    const int a = m * 7 % 11 - 5, b = m * 5 % 13 - 6, c = m * 3 % 7 - 3;
    double x = a * i / (double)NX + b * j / (double)NY + c * k / (double)NZ + 0.01 * step * (m % 3) + 0.37 * m + 0.21 * field;
    x -= floor(x);
    v += x * (1 - x) * (1 - 2 * x);
  }
  return v;
}

// Signals caught, ignored and blocked, and the number of threads: what a library leaves alone. 8 lines at most.
static inline void process_state(char state[512]) {
  char line[256];
  state[0] = 0;
  FILE *f = fopen("/proc/self/status", "r");
  while (f && fgets(line, sizeof line, f)) if (!strncmp(line, "Sig", 3) || !strncmp(line, "Threads:", 8)) strncat(state, strncmp(line, "SigQ", 4) ? line : "", 511 - strlen(state));
  if (f) fclose(f);
}

#define TRY(call) do { int s_ = (call); if (s_) { fprintf(stderr, "%s:%d: status %d: %s\n", __FILE__, __LINE__, s_, ald_last_error(w)); MPI_Abort(MPI_COMM_WORLD, 1); } } while (0)
