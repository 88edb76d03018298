// Memory of a rank while a step is put and coded, beside what it had before: VmHWM, reset before every step.
//   mpicc -O2 memory.c $(pkg-config --cflags --libs alidade) -lm -o memory
//   mpirun -n RANKS ./memory PATH N FIELDS walls|wraps scalars|vector copied|borrowed wait|async [STEPS [keys|rate|rough]]
// N^3 cells of float64 per rank; vector: the first three fields are one; keys: steps are predicted from two others, whose coefficients stay; rate: 2 bits
// per value in place of 1e-4 of the range; rough: noise of 80 times that.
// Ends with 1 where a step takes more than 1.5 times its data and 64 MB, and those two where there are such.
#include <alidade.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int rank, size;

static double memory(const char *what) {
  char line[256];
  double kilobytes = 0;
  FILE *f = fopen("/proc/self/status", "r");
  while (fgets(line, sizeof line, f)) if (!strncmp(line, what, strlen(what))) kilobytes = atof(line + strlen(what) + 1);
  fclose(f);
  return kilobytes * 1024 / 1e6;
}
static void reset(void) {
  FILE *f = fopen("/proc/self/clear_refs", "w");
  if (f) { fputs("5", f); fclose(f); }
}
static void must(ald_writer *w, int status) {
  if (!status) return;
  fprintf(stderr, "rank %d: %d %s\n", rank, status, ald_last_error(w));
  MPI_Abort(MPI_COMM_WORLD, 1);
}

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (argc < 8) MPI_Abort(MPI_COMM_WORLD, 1);
  const int64_t n = atoll(argv[2]), fields = atoll(argv[3]), shape[3] = {n * size, n, n}, lower[3] = {n * rank, 0, 0}, extent[3] = {n, n, n};
  const int wraps = !strcmp(argv[4], "wraps"), vector = !strcmp(argv[5], "vector"), borrowed = !strcmp(argv[6], "borrowed"), async = !strcmp(argv[7], "async");
  const int steps = argc > 8 ? atoi(argv[8]) : 4, keys = argc > 9 && !strcmp(argv[9], "keys"), rate = argc > 9 && !strcmp(argv[9], "rate"), rough = argc > 9 && !strcmp(argv[9], "rough");
  int over = 0;
  enum { WAVES = 6 };
  double *a = malloc(fields * n * n * n * sizeof *a), *along[3];
  for (int i = 0; i < 3; i++) along[i] = malloc(WAVES * n * sizeof **along);
  ald_writer *w;
  must(NULL, ald_open(MPI_COMM_WORLD, argv[1], &(ald_options){.size = sizeof(ald_options), .opening = ALD_REPLACE, .key_interval = keys ? 8 : 0}, &w));
  must(w, ald_grid(w, 3, shape, (int32_t[]){wraps, 1, 1}));
  must(w, ald_boxes(w, 1, lower, extent));
  int32_t id[64];
  for (int f = 0; f < fields; f++) {
    char name[16];
    snprintf(name, sizeof name, "u%d", f);
    must(w, ald_field(w, name, &(ald_field_options){.size = sizeof(ald_field_options), .bound = rate ? (ald_bound){ALD_RATE, 2} : (ald_bound){ALD_RELATIVE, 1e-4}}, &id[f]));
  }
  if (vector) must(w, ald_vector(w, "velocity", 3, id));
  must(w, ald_commit(w));
  for (int step = 0; step < steps; step++) {
    // Waves of a flow whose amplitude falls with the wavenumber, and a little noise.
    uint64_t seed = 1;
    for (int64_t f = 0; f < fields; f++) {
      for (int w = 0; w < WAVES; w++) for (int64_t i = 0; i < n; i++) {
        const int m = 2 * w + 1;
        const double x = 2 * M_PI * i / n, z = 2 * M_PI * (i + lower[0]) / shape[0], t = 0.1 * step;
        along[0][w * n + i] = sin(m * x + f + t) / pow(m, 1.7);
        along[1][w * n + i] = cos(m * x - f);
        along[2][w * n + i] = sin(m * z + t);
      }
      for (int64_t k = 0; k < n; k++) for (int64_t j = 0; j < n; j++) for (int64_t i = 0; i < n; i++) {
        double v = 0;
        for (int w = 0; w < WAVES; w++) v += along[0][w * n + i] * along[1][w * n + j] * along[2][w * n + k];
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        a[((f * n + k) * n + j) * n + i] = v + (rough ? 3e-2 : 1e-4) * (double)(seed >> 33) * 0x1p-31;
      }
    }
    MPI_Barrier(MPI_COMM_WORLD);
    reset();
    const double before = memory("VmRSS:"), start = MPI_Wtime();
    must(w, ald_begin(w, step, 0.1 * step));
    for (int f = 0; f < fields; f++) must(w, (borrowed ? ald_put_borrow : ald_put)(w, id[f], 0, a + f * n * n * n, NULL));
    if (async) {
      int64_t request;
      must(w, ald_end_async(w, &request));
      must(w, ald_wait(w, request));
    } else must(w, ald_end(w));
    double used = memory("VmHWM:") - before, most;
    MPI_Allreduce(&used, &most, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    const double data = 8e-6 * fields * n * n * n, allowed = (keys ? 3.5 : 1.5) * data + 64;
    over |= most > allowed;
    if (!rank) printf("step %d: %.0f MB above %.0f, %.0f allowed, %.2f s\n", step, most, before, allowed, MPI_Wtime() - start);
  }
  must(w, ald_close(&w));
  free(a);
  for (int i = 0; i < 3; i++) free(along[i]);
  MPI_Finalize();
  return over;
}
