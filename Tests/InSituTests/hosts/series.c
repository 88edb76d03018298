// A series whose steps are predicted and coded beside the host: series MODE PATH [multiple]; `multiple`: MPI lets every thread communicate.
#define _GNU_SOURCE
#include "common.h"
#include <unistd.h>

static int rank, size;
static ald_writer *w;
static int32_t field[2];
static int64_t lower[3], extent[3];
static double *a;

#define MUST(call, wanted) same(#call, __LINE__, call, wanted)
static void same(const char *what, int line, int64_t found, int64_t wanted) {
  int64_t low, high;
  MPI_Allreduce(&found, &low, 1, MPI_INT64_T, MPI_MIN, MPI_COMM_WORLD);
  MPI_Allreduce(&found, &high, 1, MPI_INT64_T, MPI_MAX, MPI_COMM_WORLD);
  if (low == wanted && high == wanted) return;
  fprintf(stderr, "line %d, rank %d: %s gave %d, not %d: %s\n", line, rank, what, (int)found, (int)wanted, ald_last_error(w));
  MPI_Abort(MPI_COMM_WORLD, 1);
}

static void declare(const char *path, ald_options o) {
  const int64_t shape[3] = {NZ, NY, NX}, lo[3] = {NZ * rank / size, 0, 0}, n[3] = {NZ * (rank + 1) / size - lo[0], NY, NX};
  memcpy(lower, lo, sizeof lo);
  memcpy(extent, n, sizeof n);
  o.size = sizeof o;
  MUST(ald_open(MPI_COMM_WORLD, path, &o, &w), ALD_OK);
  MUST(ald_grid(w, 3, shape, NULL), ALD_OK);
  MUST(ald_boxes(w, 1, lower, extent), ALD_OK);
  const ald_field_options f = {.size = sizeof f, .bound = {ALD_ABSOLUTE, 1e-3}};
  MUST(ald_field(w, "u", &f, &field[0]), ALD_OK);
  MUST(ald_field(w, "v", &f, &field[1]), ALD_OK);
  if (o.report) MUST(ald_observe(w, "u/mean"), ALD_OK);
  MUST(ald_commit(w), ALD_OK);
  free(a);
  a = malloc(extent[0] * NY * NX * sizeof *a);
}

static int noisy;
static void put(int number) {
  MUST(ald_begin(w, number, 0.1 * number), ALD_OK);
  for (int c = 0; c < 2; c++) {
    for (int64_t k = 0; k < extent[0]; k++) for (int64_t j = 0; j < NY; j++) for (int64_t i = 0; i < NX; i++) {
      const uint64_t n = (((uint64_t)number * NZ + k + lower[0]) * NY + j) * NX + i + 1;
      a[(k * NY + j) * NX + i] = noisy ? (double)(n * 0x9e3779b97f4a7c15u >> 40) / 0x1p24 : flow(c, number, k + lower[0], j, i);
    }
    MUST(ald_put(w, field[c], 0, a, NULL), ALD_OK);
  }
}
static ald_stats stats(void) {
  ald_stats s = {sizeof s};
  MUST(ald_get_stats(w, &s), ALD_OK);
  return s;
}

// The values of a step, read by rank 0, lie within the bound.
static void check(const char *path, int64_t number) {
  MPI_Barrier(MPI_COMM_WORLD);
  if (rank) return;
  ald_reader *r = NULL;
  int64_t count = 0, found, n;
  double time;
  if (ald_reader_open(path, &r) || ald_reader_steps(r, &count)) { fprintf(stderr, "reading: %s\n", ald_reader_error(r)); MPI_Abort(MPI_COMM_WORLD, 1); }
  for (n = 0; n < count; n++) if (!ald_reader_step(r, n, &found, &time) && found == number) break;
  double *all = malloc(sizeof(double) * NZ * NY * NX);
  if (ald_reader_read(r, n, 1, 0, NULL, NULL, all)) { fprintf(stderr, "step %d: %s\n", (int)number, ald_reader_error(r)); MPI_Abort(MPI_COMM_WORLD, 1); }
  for (int64_t k = 0; k < NZ; k++) for (int64_t j = 0; j < NY; j++) for (int64_t i = 0; i < NX; i++) {
    const double e = all[(k * NY + j) * NX + i] - flow(1, number, k, j, i);
    if (!(e <= 1e-3 && e >= -1e-3)) { fprintf(stderr, "step %d is wrong by %g\n", (int)number, e); MPI_Abort(MPI_COMM_WORLD, 1); }
  }
  free(all);
  ald_reader_close(&r);
}

int main(int argc, char **argv) {
  int provided;
  MPI_Init_thread(&argc, &argv, argc > 3 ? MPI_THREAD_MULTIPLE : MPI_THREAD_FUNNELED, &provided);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  const char *mode = argv[1], *path = argv[2];
  int64_t request = 0;
  int32_t done = 0;
  if (!strcmp(mode, "keys")) {
    // Every third step stands alone; the others take less than two thirds of it.
    declare(path, (ald_options){.key_interval = 3});
    int64_t key = 0;
    for (int n = 0; n < 7; n++) {
      put(n);
      MUST(ald_end(w), ALD_OK);
      const ald_stats s = stats();
      MUST(s.key_step, n / 3 * 3);
      if (n % 3 == 0) key = s.stored_bytes;
      else MUST(3 * s.stored_bytes < 2 * key, 1);
    }
    // After a failed step, and after a restart, the next one stands alone.
    MUST(ald_begin(w, 7, 0.7), ALD_OK);
    MUST(ald_end(w), ALD_MISSING);
    put(7); MUST(ald_end(w), ALD_OK); MUST(stats().key_step, 7);
    put(8); MUST(ald_end(w), ALD_OK); MUST(stats().key_step, 7);
    MUST(ald_close(&w), ALD_OK);
    declare(path, (ald_options){.key_interval = 3});
    put(9); MUST(ald_end(w), ALD_OK); MUST(stats().key_step, 9);
    put(10); MUST(ald_end(w), ALD_OK); MUST(stats().key_step, 9);
    MUST(ald_close(&w), ALD_OK);
    for (int n = 10; n >= 0; n -= 3) check(path, n);
    // Where nothing is alike from step to step nothing is predicted.
    noisy = 1;
    declare(path, (ald_options){.opening = ALD_REPLACE, .key_interval = 3});
    for (int n = 0; n < 3; n++) { put(n); MUST(ald_end(w), ALD_OK); MUST(stats().key_step, n); }
    MUST(ald_close(&w), ALD_OK);
    noisy = 0;
    // Without the step that others are predicted from: a status, and its name. Others can be read.
    declare(path, (ald_options){.opening = ALD_REPLACE, .key_interval = 3});
    for (int n = 0; n < 4; n++) { put(n); MUST(ald_end(w), ALD_OK); }
    MUST(ald_close(&w), ALD_OK);
    MPI_Barrier(MPI_COMM_WORLD);
    if (!rank) {
      char file[4096];
      snprintf(file, sizeof file, "%s/0000000001.ald", path);
      unlink(file);
      ald_reader *r = NULL;
      double v;
      const int64_t at[3] = {0, 0, 0}, one[3] = {1, 1, 1};
      if (ald_reader_open(path, &r) || ald_reader_read(r, 2, 0, 0, at, one, &v) != ALD_IO || !strstr(ald_reader_error(r), "0000000001.ald")
          || ald_reader_read(r, 0, 0, 0, at, one, &v) || ald_reader_read(r, 3, 0, 0, at, one, &v)) {
        fprintf(stderr, "a missing step: %s\n", ald_reader_error(r));
        MPI_Abort(MPI_COMM_WORLD, 1);
      }
      ald_reader_close(&r);
    }
  } else if (!strcmp(mode, "async")) {
    // The one before is finished by begin; its status is told by its request whenever it is asked for.
    declare(path, (ald_options){.opening = ALD_REPLACE, .key_interval = 3});
    MUST(ald_wait(w, 1), ALD_USAGE);
    int64_t requests[4];
    for (int n = 0; n < 4; n++) { put(n); MUST(ald_end_async(w, &requests[n]), ALD_OK); }
    MUST(ald_end_async(w, &request), ALD_USAGE);
    for (int n = 0; n < 4; n++) MUST(ald_wait(w, requests[n]), ALD_OK);
    MUST(stats().key_step, 3);
    if (!(stats().background_seconds > 0)) { fprintf(stderr, "nothing was coded beside the host\n"); MPI_Abort(MPI_COMM_WORLD, 1); }
    // What is missing on one rank fails the step on all, before anything is coded.
    MUST(ald_begin(w, 4, 0.4), ALD_OK);
    MUST(ald_put(w, field[0], 0, a, NULL), ALD_OK);
    if (rank < size - 1 || size == 1) TRY(ald_put(w, field[1], 0, a, NULL));
    if (size > 1) MUST(ald_end_async(w, &request), ALD_MISSING);
    else { TRY(ald_fail(w, "one rank")); MUST(ald_end_async(w, &request), ALD_HOST); }
    // Bounds may change while a step is coded, boxes be declared again.
    put(4);
    MUST(ald_end_async(w, &request), ALD_OK);
    for (int c = 0; c < 2; c++) MUST(ald_set_bound(w, field[c], (ald_bound){ALD_ABSOLUTE, 1e-3}), ALD_OK);
    MUST(ald_boxes(w, 1, lower, extent), ALD_OK);
    MUST(ald_wait(w, request), ALD_OK);
    // Asked for again and again until it is done.
    put(7);
    MUST(ald_end_async(w, &request), ALD_OK);
    for (done = 0; !done;) MUST(ald_test(w, request, &done), ALD_OK);
    MUST(ald_test(w, request, &done), ALD_OK);
    // A step that cannot be written: its request says so, on all ranks, and the next one is fine. Somebody has put a folder in its place.
    char file[4096];
    snprintf(file, sizeof file, "rm -rf %s/0000000008.ald; mkdir -p %s/0000000008.ald/a", path, path);
    MPI_Barrier(MPI_COMM_WORLD);
    if (!rank && system(file)) MPI_Abort(MPI_COMM_WORLD, 1);
    MPI_Barrier(MPI_COMM_WORLD);
    put(8);
    int status = ald_end_async(w, &request);
    if (!status) status = ald_wait(w, request);
    MUST(status, ALD_IO);
    snprintf(file, sizeof file, "rm -rf %s/0000000008.ald", path);
    if (!rank && system(file)) MPI_Abort(MPI_COMM_WORLD, 1);
    put(9);
    MUST(ald_end_async(w, &request), ALD_OK);
    // Closing finishes it.
    MUST(ald_close(&w), ALD_OK);
    check(path, 4);
    check(path, 9);
    // With ALD_REFUSE a step is left out rather than waited for; sooner or later one is taken again.
    declare(path, (ald_options){.opening = ALD_REPLACE, .pressure = ALD_REFUSE});
    for (int c = 0; c < 2; c++) MUST(ald_set_bound(w, field[c], (ald_bound){ALD_LOSSLESS, 0}), ALD_OK);  // much to code, little to exchange
    int taken = 0, refused = 0;
    for (int n = 0; n < 100 && (taken < 3 || !refused); n++) {
      const int s = ald_begin(w, n, 0.1 * n);
      MUST(s == ALD_OK || s == ALD_BUSY, 1);
      if (s == ALD_BUSY) { refused++; continue; }
      for (int c = 0; c < 2; c++) MUST(ald_put(w, field[c], 0, a, NULL), ALD_OK);
      MUST(ald_end_async(w, &request), ALD_OK);
      taken++;
    }
    MUST(refused > 0, 1);
    MUST(ald_close(&w), ALD_OK);
  } else if (!strcmp(mode, "forgotten")) {
    // Closing is forgotten while a step is coded: MPI ends all the same, and what was committed stays.
    declare(path, (ald_options){.opening = ALD_REPLACE});
    put(0); MUST(ald_end(w), ALD_OK);
    put(1); MUST(ald_end_async(w, &request), ALD_OK);
    check(path, 0);
  } else if (!strcmp(mode, "time")) {
    // No step can be this fast: one thing after the other is left out, the bound never, and it is told.
    declare(path, (ald_options){.opening = ALD_REPLACE, .report = 1, .seconds_per_step = 1e-9});
    for (int n = 0; n < 4; n++) {
      put(n);
      MUST(ald_end(w), ALD_OK);
      MUST(stats().left_out, n == 0 ? 0 : n == 1 ? ALD_NO_OBSERVABLES : ALD_NO_OBSERVABLES | ALD_NO_VERIFICATION);
    }
    MUST(ald_close(&w), ALD_OK);
    for (int n = 0; n < 4; n++) check(path, n);
    // Plenty of time: nothing is left out.
    declare(path, (ald_options){.opening = ALD_REPLACE, .report = 1, .seconds_per_step = 1e6});
    for (int n = 0; n < 2; n++) { put(n); MUST(ald_end(w), ALD_OK); MUST(stats().left_out, 0); }
    MUST(ald_close(&w), ALD_OK);
  } else if (!strcmp(mode, "plot")) {
    // Everything that a page of the run can show.
    const int64_t shape[3] = {NZ, NY, NX}, lo[3] = {NZ * rank / size, 0, 0}, n[3] = {NZ * (rank + 1) / size - lo[0], NY, NX};
    memcpy(lower, lo, sizeof lo);
    memcpy(extent, n, sizeof n);
    MUST(ald_open(MPI_COMM_WORLD, path, &(ald_options){.size = sizeof(ald_options), .report = 1, .bytes_per_step = 20000, .key_interval = 4, .seconds_per_step = 60}, &w), ALD_OK);
    MUST(ald_grid(w, 3, shape, NULL), ALD_OK);
    MUST(ald_boxes(w, 1, lower, extent), ALD_OK);
    const ald_field_options f = {.size = sizeof f, .bound = {ALD_ABSOLUTE, 0.01}};
    MUST(ald_field(w, "u", &f, &field[0]), ALD_OK);
    MUST(ald_field(w, "v", &f, &field[1]), ALD_OK);
    MUST(ald_observe(w, "u/mean"), ALD_OK);
    MUST(ald_trigger(w, "u/mean", -1e300, 0, field[1], (ald_bound){ALD_ABSOLUTE, 1e-3}), ALD_OK);
    MUST(ald_commit(w), ALD_OK);
    a = malloc(extent[0] * NY * NX * sizeof *a);
    for (int s = 0; s < 6; s++) { put(s); MUST(ald_end(w), ALD_OK); }
    MUST(ald_close(&w), ALD_OK);
  } else return 2;
  MPI_Finalize();
  return 0;
}
