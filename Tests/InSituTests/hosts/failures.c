// What can go wrong, one case per run: failures MODE PATH [SMALL]. All ranks get one status, the run goes on, earlier steps stay.
#define _GNU_SOURCE
#include "common.h"
#include <signal.h>
#include <unistd.h>

static int rank, size;
static ald_writer *w;
static int32_t field[2];
static int64_t lower[3], extent[3];
static double *a;

#define MUST(call, wanted) same(#call, __LINE__, call, wanted)
static void same(const char *what, int line, int status, int wanted) {
  int low, high;
  MPI_Allreduce(&status, &low, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
  MPI_Allreduce(&status, &high, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
  if (low == wanted && high == wanted) return;
  fprintf(stderr, "line %d, rank %d: %s gave %d, not %d: %s\n", line, rank, what, status, wanted, ald_last_error(w));
  MPI_Abort(MPI_COMM_WORLD, 1);
}

static void declare(MPI_Comm comm, const char *path, int part, int parts) {
  const int64_t shape[3] = {NZ, NY, NX};
  int64_t lo[3] = {NZ * part / parts, 0, 0}, n[3] = {NZ * (part + 1) / parts - NZ * part / parts, NY, NX};
  memcpy(lower, lo, sizeof lo);
  memcpy(extent, n, sizeof n);
  TRY(ald_open(comm, path, NULL, &w));
  TRY(ald_grid(w, 3, shape, NULL));
  TRY(ald_boxes(w, 1, lower, extent));
  ald_field_options f = {.size = sizeof f};
  f.bound = (ald_bound){ALD_RELATIVE, 1e-5};
  TRY(ald_field(w, "u", &f, &field[0]));
  TRY(ald_field(w, "v", &f, &field[1]));
  TRY(ald_commit(w));
  a = malloc(extent[0] * NY * NX * sizeof *a);
}

static void fill(int c, int step) {
  for (int64_t k = 0; k < extent[0]; k++) for (int64_t j = 0; j < NY; j++) for (int64_t i = 0; i < NX; i++)
    a[(k * NY + j) * NX + i] = value(c, step, k + lower[0], j, i);
}

static int step(int number) {
  TRY(ald_begin(w, number, 0.1 * number));
  for (int c = 0; c < 2; c++) { fill(c, number); TRY(ald_put(w, field[c], 0, a, NULL)); }
  return ald_end(w);
}

// Every step of the list is there and right.
static void check(const char *path, int count, const int *numbers) {
  MPI_Barrier(MPI_COMM_WORLD);
  if (rank) return;
  ald_reader *r = NULL;
  int64_t n = 0;
  if (ald_reader_open(path, &r) || ald_reader_steps(r, &n) || n != count) {
    fprintf(stderr, "%d steps instead of %d: %s\n", (int)n, count, ald_reader_error(r));
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
  double *all = malloc(sizeof(double) * NZ * NY * NX);
  for (int s = 0; s < count; s++) {
    int64_t number;
    double time;
    ald_reader_step(r, s, &number, &time);
    if (number != numbers[s] || ald_reader_read(r, s, 1, 0, NULL, NULL, all)) {
      fprintf(stderr, "step %d: %s\n", (int)number, ald_reader_error(r));
      MPI_Abort(MPI_COMM_WORLD, 1);
    }
    double worst = 0, range = 0;
    for (int64_t k = 0; k < NZ; k++) for (int64_t j = 0; j < NY; j++) for (int64_t i = 0; i < NX; i++) {
      const double v = value(1, number, k, j, i), e = fabs(all[(k * NY + j) * NX + i] - v);
      if (e > worst) worst = e;
      if (v - value(1, number, 0, 0, 0) > range) range = v - value(1, number, 0, 0, 0);
    }
    if (!(worst <= 1e-4 * range)) { fprintf(stderr, "step %d is wrong by %g\n", (int)number, worst); MPI_Abort(MPI_COMM_WORLD, 1); }
  }
  free(all);
  ald_reader_close(&r);
}

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  const char *mode = argv[1], *path = argv[2];
  const int last = rank == size - 1;
  if (!strcmp(mode, "puts")) {
    declare(MPI_COMM_WORLD, path, rank, size);
    MUST(step(0), ALD_OK);
    // Missing on one rank.
    MUST(ald_begin(w, 1, 0.1), ALD_OK);
    fill(0, 1);
    MUST(ald_put(w, field[0], 0, a, NULL), ALD_OK);
    if (!last) ald_put(w, field[1], 0, a, NULL);
    MUST(ald_end(w), size > 1 ? ALD_MISSING : ALD_OK);
    if (size == 1) { MUST(ald_close(&w), ALD_OK); MPI_Finalize(); return 0; }
    // The same step again, right; then twice on one rank.
    MUST(step(1), ALD_OK);
    MUST(ald_begin(w, 2, 0.2), ALD_OK);
    for (int c = 0; c < 2; c++) { fill(c, 2); ald_put(w, field[c], 0, a, NULL); }
    if (last && ald_put(w, field[1], 0, a, NULL) != ALD_TWICE) MPI_Abort(MPI_COMM_WORLD, 1);
    MUST(ald_end(w), ALD_TWICE);
    // A box that was not declared, an array that is too small, an array that is not there.
    for (int wrong = 0; wrong < 3; wrong++) {
      MUST(ald_begin(w, 2, 0.2), ALD_OK);
      for (int c = wrong == 1 && last; c < 2; c++) { fill(c, 2); ald_put(w, field[c], 0, a, NULL); }
      const int64_t small[3] = {extent[0], NY, NX - 1};
      if (last) {
        if (wrong == 0) ald_put(w, field[0], 1, a, NULL);
        if (wrong == 1) ald_put_ghosted(w, field[0], 0, a, small, (int64_t[3]){0, 0, 0}, ALD_C_ORDER, 0);
        if (wrong == 2) ald_put(w, 7, 0, a, NULL);
      }
      MUST(ald_end(w), wrong == 2 ? ALD_USAGE : ALD_BOXES);
    }
    // Given up by the host on one rank.
    MUST(ald_begin(w, 2, 0.2), ALD_OK);
    if (last) ald_fail(w, "the host cannot go on");
    MUST(ald_end(w), ALD_HOST);
    // Nothing put at all; ended without having begun; begun twice.
    MUST(ald_begin(w, 2, 0.2), ALD_OK);
    MUST(ald_end(w), ALD_MISSING);
    MUST(ald_end(w), ALD_USAGE);
    MUST(ald_begin(w, 2, 0.2), ALD_OK);
    MUST(ald_begin(w, 3, 0.3), ALD_USAGE);
    for (int c = 0; c < 2; c++) { fill(c, 2); ald_put(w, field[c], 0, a, NULL); }
    MUST(ald_end(w), ALD_OK);
    MUST(ald_close(&w), ALD_OK);
    check(path, 3, (int[]){0, 1, 2});
  } else if (!strcmp(mode, "steps")) {
    declare(MPI_COMM_WORLD, path, rank, size);
    MUST(step(5), ALD_OK);
    MUST(ald_begin(w, 5, 0.5), ALD_STEP);
    MUST(ald_begin(w, 4, 0.6), ALD_STEP);
    MUST(ald_begin(w, 6, 0.4), ALD_STEP);
    MUST(ald_begin(w, 6, NAN), ALD_STEP);
    if (size > 1) { MUST(ald_begin(w, 6 + rank, 0.7), ALD_STEP); MUST(ald_begin(w, 6, 0.7 + rank), ALD_STEP); }
    MUST(step(6), ALD_OK);
    // NaN on one rank is data: masked, and it comes back.
    MUST(ald_begin(w, 7, 0.7), ALD_OK);
    for (int c = 0; c < 2; c++) { fill(c, 7); if (last && c == 0) a[3] = NAN; ald_put(w, field[c], 0, a, NULL); }
    MUST(ald_end(w), ALD_OK);
    ald_field_stats s = {sizeof s};
    MUST(ald_get_field_stats(w, field[0], &s), ALD_OK);
    if (s.masked != 1) { fprintf(stderr, "%d masked\n", (int)s.masked); MPI_Abort(MPI_COMM_WORLD, 1); }
    MUST(ald_close(&w), ALD_OK);
    // A restart goes on behind the last step.
    declare(MPI_COMM_WORLD, path, rank, size);
    MUST(ald_begin(w, 7, 0.7), ALD_STEP);
    MUST(step(8), ALD_OK);
    MUST(ald_close(&w), ALD_OK);
    check(path, 4, (int[]){5, 6, 7, 8});
  } else if (!strcmp(mode, "opening")) {
    // A part of the ranks.
    MPI_Comm part;
    const int in = size == 1 || rank > 0;
    MPI_Comm_split(MPI_COMM_WORLD, in ? 0 : MPI_UNDEFINED, -rank, &part);
    if (in) {
      int r, n;
      MPI_Comm_rank(part, &r);
      MPI_Comm_size(part, &n);
      declare(part, path, r, n);
      TRY(step(0));
      // Opened twice: refused, and the first goes on.
      ald_writer *second = NULL;
      const int status = ald_open(part, path, NULL, &second);
      if (status != ALD_IO || second) { fprintf(stderr, "opened twice: %d\n", status); MPI_Abort(MPI_COMM_WORLD, 1); }
      TRY(step(1));
      TRY(ald_close(&w));
      MPI_Comm_free(&part);
    }
    check(path, 2, (int[]){0, 1});
    // Boxes that overlap, leave a gap, reach outside; schemas that differ; a folder that cannot be.
    char other[4096];
    snprintf(other, sizeof other, "%s.other", path);
    const int64_t shape[3] = {NZ, NY, NX}, whole[3] = {0, 0, 0}, beyond[3] = {NZ, NY, NX + 1}, less[3] = {NZ - 1, NY, NX};
    MUST(ald_open(MPI_COMM_WORLD, other, NULL, &w), ALD_OK);
    MUST(ald_grid(w, 3, shape, NULL), ALD_OK);
    MUST(ald_grid(w, 3, shape, NULL), ALD_USAGE);
    if (size > 1) MUST(ald_boxes(w, 1, whole, shape), ALD_BOXES);
    MUST(ald_boxes(w, rank == 0, whole, less), ALD_BOXES);
    MUST(ald_boxes(w, rank == 0, whole, beyond), ALD_BOXES);
    MUST(ald_boxes(w, rank == 0, whole, shape), ALD_OK);
    MUST(ald_commit(w), ALD_USAGE);
    MUST(ald_field(w, rank ? "a" : "b", NULL, &field[0]), ALD_OK);
    MUST(ald_commit(w), size > 1 ? ALD_USAGE : ALD_OK);
    MUST(ald_close(&w), ALD_OK);
    MUST(ald_open(MPI_COMM_WORLD, "/proc/nothing/here", NULL, &w), ALD_IO);
    // Planes that neighbours share: the lower rank's values count.
    snprintf(other, sizeof other, "%s.shared", path);
    MUST(ald_open(MPI_COMM_WORLD, other, NULL, &w), ALD_OK);
    MUST(ald_grid(w, 3, shape, NULL), ALD_OK);
    int64_t lo[3] = {NZ * rank / size, 0, 0}, n[3] = {NZ * (rank + 1) / size - lo[0], NY, NX};
    MUST(ald_boxes(w, 1, lo, n), ALD_OK);
    MUST(ald_field(w, "node", &(ald_field_options){sizeof(ald_field_options), ALD_FLOAT64, ALD_NODE, {1, 0, 0}, {ALD_LOSSLESS, 0}, "m"}, &field[0]), ALD_OK);
    n[0]++;
    if (size > 1) MUST(ald_field_boxes(w, field[0], 0, 1, lo, n), ALD_BOXES);
    MUST(ald_field_boxes(w, field[0], 1, 1, lo, n), ALD_OK);
    MUST(ald_commit(w), ALD_OK);
    a = malloc(n[0] * NY * NX * sizeof *a);
    for (int64_t q = 0; q < n[0] * NY * NX; q++) a[q] = rank;
    MUST(ald_begin(w, 0, 0), ALD_OK);
    MUST(ald_put(w, field[0], 0, a, NULL), ALD_OK);
    MUST(ald_end(w), ALD_OK);
    MUST(ald_close(&w), ALD_OK);
    if (!rank) {
      ald_reader *r = NULL;
      double v[NZ + 1];
      if (ald_reader_open(other, &r) || ald_reader_read(r, 0, 0, 0, whole, (int64_t[3]){NZ + 1, 1, 1}, v)) MPI_Abort(MPI_COMM_WORLD, 1);
      for (int k = 0; k <= NZ; k++) {
        int owner = 0;
        while (k > NZ * (owner + 1) / size) owner++;
        if (v[k] != owner) { fprintf(stderr, "plane %d is of rank %g, not %d\n", k, v[k], owner); MPI_Abort(MPI_COMM_WORLD, 1); }
      }
      ald_reader_close(&r);
    }
  } else if (!strcmp(mode, "watch")) {
    // An observable of every step, a bound that it changes, and a budget that leaves room.
    const int64_t shape[3] = {NZ, NY, NX};
    int64_t lo[3] = {NZ * rank / size, 0, 0}, n[3] = {NZ * (rank + 1) / size - lo[0], NY, NX};
    memcpy(lower, lo, sizeof lo);
    memcpy(extent, n, sizeof n);
    MUST(ald_open(MPI_COMM_WORLD, path, &(ald_options){.size = sizeof(ald_options), .report = 1, .bytes_per_step = 40000}, &w), ALD_OK);
    MUST(ald_grid(w, 3, shape, NULL), ALD_OK);
    MUST(ald_boxes(w, 1, lower, extent), ALD_OK);
    const ald_field_options f = {.size = sizeof f, .bound = {ALD_ABSOLUTE, 0.25}};
    MUST(ald_field(w, "u", &f, &field[0]), ALD_OK);
    MUST(ald_field(w, "v", &f, &field[1]), ALD_OK);
    MUST(ald_observe(w, "u/mean"), ALD_OK);
    // The mean of u grows by 17 / 64 a step.
    double threshold = 0;
    for (int64_t k = 0; k < NZ; k++) for (int64_t j = 0; j < NY; j++) for (int64_t i = 0; i < NX; i++) threshold += value(0, 2, k, j, i) / (NZ * NY * NX);
    MUST(ald_trigger(w, "u/mean", threshold - 0.1, 0, field[1], (ald_bound){ALD_LOSSLESS, 0}), ALD_OK);
    MUST(ald_commit(w), ALD_OK);
    a = malloc(extent[0] * NY * NX * sizeof *a);
    for (int number = 0; number < 4; number++) {
      MUST(step(number), ALD_OK);
      ald_field_stats s[2] = {{.size = sizeof *s}, {.size = sizeof *s}};
      MUST(ald_get_field_stats(w, field[0], &s[0]), ALD_OK);
      MUST(ald_get_field_stats(w, field[1], &s[1]), ALD_OK);
      const int loose = number == 0 ? s[0].granted == 0.25 : s[0].granted < 0.25, exact = number < 2 ? s[1].granted > 0 : s[1].granted == 0;
      if (!loose || !exact) { fprintf(stderr, "step %d: granted %g and %g\n", number, s[0].granted, s[1].granted); MPI_Abort(MPI_COMM_WORLD, 1); }
    }
    MUST(ald_close(&w), ALD_OK);
    if (!rank) {
      char report[4096], line[1 << 16];
      snprintf(report, sizeof report, "%s/steps.jsonl", path);
      FILE *lines = fopen(report, "r");
      int found = 0, triggered = 0;
      while (lines && fgets(line, sizeof line, lines)) { found += strstr(line, "\"name\":\"mean\"") != NULL; triggered += strstr(line, "\"triggered\":[\"v\"]") != NULL; }
      if (found != 4 || triggered != 2) { fprintf(stderr, "%d lines with the mean, %d with a trigger\n", found, triggered); MPI_Abort(MPI_COMM_WORLD, 1); }
    }
  } else if (!strcmp(mode, "disk")) {
    // argv[3]: a place too small for two steps. The run goes on, the first step stays.
    declare(MPI_COMM_WORLD, argv[3], rank, size);
    int done = 0, status = ALD_OK;
    while (done < 1000 && (status = step(done)) == ALD_OK) done++;
    MUST(status, ALD_IO);
    if (done < 1) MPI_Abort(MPI_COMM_WORLD, 1);
    MUST(step(done), ALD_IO);
    MUST(ald_close(&w), ALD_OK);
    int numbers[1000];
    for (int s = 0; s < done; s++) numbers[s] = s;
    check(argv[3], done, numbers);
  } else if (!strcmp(mode, "killed")) {
    declare(MPI_COMM_WORLD, path, rank, size);
    MUST(step(0), ALD_OK);
    MUST(step(1), ALD_OK);
    MUST(ald_begin(w, 2, 0.2), ALD_OK);
    fill(0, 2);
    MUST(ald_put(w, field[0], 0, a, NULL), ALD_OK);
    if (last) kill(getpid(), SIGKILL);
    ald_end(w);
  } else if (!strcmp(mode, "after")) {
    check(path, 2, (int[]){0, 1});
    declare(MPI_COMM_WORLD, path, rank, size);
    MUST(step(2), ALD_OK);
    check(path, 3, (int[]){0, 1, 2});
    // Closing is forgotten: MPI ends all the same.
  } else return 2;
  MPI_Finalize();
  return 0;
}
