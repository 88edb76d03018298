// How much of an output is hidden behind a solver that computes on: seconds that the host spends inside the library with ald_end and with ald_end_async,
// and seconds of the solver's steps without output, with either (what it loses to the other thread).
//   mpicc -O3 -march=native overlap.c $(pkg-config --cflags --libs alidade) -lm -o overlap
//   mpirun -n RANKS ./overlap PATH N OUTPUTS STEPS FIELDS     N^3 cells per rank, STEPS solver steps between outputs, ald_test after each
// The solver: relaxation sweeps with ghost planes exchanged, as many cells as fields have.
#include <alidade.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int rank, size;
static int64_t n, plane;
static double *a, *b;

static void must(ald_writer *w, int status) {
  if (!status) return;
  fprintf(stderr, "rank %d: %d %s\n", rank, status, ald_last_error(w));
  MPI_Abort(MPI_COMM_WORLD, 1);
}
static void start_anew(void) {
  for (int64_t k = 0; k < n + 2; k++) for (int64_t j = 0; j < n; j++) for (int64_t i = 0; i < n; i++) {
    const double z = 2 * M_PI * (k - 1 + n * rank) / (n * size), y = 2 * M_PI * j / n, x = 2 * M_PI * i / n;
    double v = 0;
    for (int m = 1; m < 24; m += 3) v += sin(m * x) * cos(m * y + z) * sin(m * z + m) / m;
    a[k * plane + j * n + i] = v;
  }
}
static double solver, library;
static void solve(void) {
  const double start = MPI_Wtime();
  const int up = (rank + 1) % size, down = (rank + size - 1) % size;
  MPI_Sendrecv(a + plane, plane, MPI_DOUBLE, down, 0, a + (n + 1) * plane, plane, MPI_DOUBLE, up, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  MPI_Sendrecv(a + n * plane, plane, MPI_DOUBLE, up, 1, a, plane, MPI_DOUBLE, down, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  for (int64_t k = 1; k <= n; k++) for (int64_t j = 0; j < n; j++) {
    const double *c = a + k * plane + j * n, *s = a + k * plane + (j ? j - 1 : n - 1) * n, *e = a + k * plane + (j + 1 < n ? j + 1 : 0) * n;
    double *o = b + k * plane + j * n;
    for (int64_t i = 1; i < n - 1; i++) o[i] = c[i] + 0.02 * (c[i - 1] + c[i + 1] + s[i] + e[i] + c[i - plane] + c[i + plane] - 6 * sin(c[i]));
    o[0] = c[0]; o[n - 1] = c[n - 1];
  }
  double *t = a; a = b; b = t;
  solver += MPI_Wtime() - start;
}

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (argc < 6) MPI_Abort(MPI_COMM_WORLD, 1);
  n = atoll(argv[2]);
  plane = n * n;
  const int outputs = atoi(argv[3]), steps = atoi(argv[4]), fields = atoi(argv[5]);
  const int64_t shape[3] = {n * size, n, n}, lower[3] = {n * rank, 0, 0}, extent[3] = {n, n, n};
  a = calloc((n + 2) * plane, sizeof *a);
  b = calloc((n + 2) * plane, sizeof *b);
  double step[3], inside[3], beside = 0;
  for (int mode = 0; mode < 3; mode++) {  // 0: no output, 1: ald_end, 2: ald_end_async
    ald_writer *w;
    int32_t id[16];
    must(NULL, ald_open(MPI_COMM_WORLD, argv[1], &(ald_options){.size = sizeof(ald_options), .opening = ALD_REPLACE}, &w));
    must(w, ald_grid(w, 3, shape, NULL));
    must(w, ald_boxes(w, 1, lower, extent));
    for (int f = 0; f < fields; f++) {
      char name[16];
      snprintf(name, sizeof name, "u%d", f);
      must(w, ald_field(w, name, &(ald_field_options){.size = sizeof(ald_field_options), .bound = {ALD_RELATIVE, 1e-4}}, &id[f]));
    }
    must(w, ald_commit(w));
    start_anew();
    MPI_Barrier(MPI_COMM_WORLD);
    const double start = MPI_Wtime();
    solver = 0;
    int64_t request = 0;
    int32_t done = 1;
    for (int o = 0; o < outputs; o++) {
      for (int s = 0; s < steps; s++) {
        solve();
        if (!done) must(w, ald_test(w, request, &done));
      }
      if (!mode) continue;
      must(w, ald_begin(w, o, o));
      for (int f = 0; f < fields; f++) must(w, ald_put(w, id[f], 0, a + plane, NULL));
      if (mode == 1) must(w, ald_end(w)); else {
        must(w, ald_end_async(w, &request));
        done = 0;
      }
      ald_stats t = {sizeof t};
      if (mode == 2 && o && !ald_get_stats(w, &t)) beside += t.background_seconds;
    }
    // The last output is beside nothing.
    for (int s = 0; s < steps; s++) {
      solve();
      if (!done) must(w, ald_test(w, request, &done));
    }
    must(w, ald_close(&w));
    MPI_Barrier(MPI_COMM_WORLD);
    library = MPI_Wtime() - start - solver;
    step[mode] = solver / steps / (outputs + 1);
    inside[mode] = library / outputs;
  }
  if (!rank)
    printf("%d ranks, %d fields of %lld^3, output every %d steps: host inside the library %.3f s an output with ald_end, %.3f s with ald_end_async (%.0f %% hidden), other thread %.3f s; "
           "solver's step %.4f s without output, %.4f, %.4f s\n", size, fields, (long long)n, steps, inside[1] - inside[0], inside[2] - inside[0],
           100 * (1 - (inside[2] - inside[0]) / (inside[1] - inside[0])), beside / (outputs - 1), step[0], step[1], step[2]);
  MPI_Finalize();
}
