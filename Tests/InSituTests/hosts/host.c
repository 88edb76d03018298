// A C program with slabs, arrays with ghost cells on either side, and an own error handler that must never be called: host PATH [async].
// Compiled with -DOWN_HDF5 it has a parallel HDF5 of its own, and a file open in it all the time.
#include "common.h"
#ifdef OWN_HDF5
#include <hdf5.h>
#endif

static void refuse(MPI_Comm *comm, int *code, ...) { (void)comm; fprintf(stderr, "the host's error handler was called with %d\n", *code); abort(); }

int main(int argc, char **argv) {
  int provided, rank, size;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
  MPI_Errhandler handler, after;
  MPI_Comm_create_errhandler(refuse, &handler);
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, handler);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  char before[512], now[512];
  process_state(before);
#ifdef OWN_HDF5
  char own[4096];
  snprintf(own, sizeof own, "%s.own.h5", argv[1]);
  const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
  H5Pset_fapl_mpio(access, MPI_COMM_WORLD, MPI_INFO_NULL);
  const hid_t file = H5Fcreate(own, H5F_ACC_TRUNC, H5P_DEFAULT, access), space = H5Screate_simple(1, &(hsize_t){size}, NULL);
  const hid_t set = H5Dcreate2(file, "ranks", H5T_NATIVE_INT, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
#endif
  ald_writer *w = NULL;
  ald_options o = {.size = sizeof o};
  o.opening = ALD_REPLACE;
  o.key_interval = 3;
  const int async = argc > 2 && !strcmp(argv[2], "async");
  int64_t request = 0;
  TRY(ald_open(MPI_COMM_WORLD, argv[1], &o, &w));
  const int64_t shape[3] = {NZ, NY, NX};
  const int32_t periodic[3] = {1, 1, 0};
  TRY(ald_grid(w, 3, shape, periodic));
  TRY(ald_uniform(w, 2, 0, 0.25));
  const int64_t lower[3] = {NZ * rank / size, 0, 0}, extent[3] = {NZ * (rank + 1) / size - lower[0], NY, NX};
  TRY(ald_boxes(w, 1, lower, extent));
  int32_t field[4];
  ald_field_options f = {.size = sizeof f};
  f.bound = (ald_bound){ALD_ABSOLUTE, 0.01};
  f.units = "m/s";
  TRY(ald_field(w, "u", &f, &field[0]));
  TRY(ald_field(w, "v", &f, &field[1]));
  TRY(ald_field(w, "w", &f, &field[2]));
  f = (ald_field_options){sizeof f, ALD_FLOAT32, ALD_NODE, {1, 1, 1}, {ALD_LOSSLESS, 0}, NULL};
  TRY(ald_field(w, "p", &f, &field[3]));
  TRY(ald_vector(w, "velocity", 3, field));
  TRY(ald_attr_text(w, -1, "title", "hosts"));
  const double re = 1600;
  TRY(ald_attr_numbers(w, -1, "Re", 1, &re));
  TRY(ald_commit(w));
  // One ghost cell before and two behind along z, one and three along x.
  const int64_t alloc[3] = {extent[0] + 3, NY, NX + 4}, pad[3] = {1, 0, 1};
  double *a = malloc(alloc[0] * alloc[1] * alloc[2] * sizeof *a);
  const int64_t top = rank == size - 1 ? 1 : 0, node[3] = {extent[0] + top, NY + 1, NX + 1};
  float *p = malloc(node[0] * node[1] * node[2] * sizeof *p);
  for (int step = 0; step < STEPS; step++) {
    if (async && step) TRY(ald_wait(w, request));  // p is borrowed
    TRY(ald_begin(w, 10 * step, 0.5 * step));
    for (int c = 0; c < 3; c++) {
      for (int64_t n = 0; n < alloc[0] * alloc[1] * alloc[2]; n++) a[n] = 0x1p1000;
      for (int64_t k = 0; k < extent[0]; k++) for (int64_t j = 0; j < NY; j++) for (int64_t i = 0; i < NX; i++)
        a[((k + 1) * NY + j) * alloc[2] + i + 1] = flow(c, step, k + lower[0], j, i);
      TRY(ald_put_ghosted(w, field[c], 0, a, alloc, pad, ALD_C_ORDER, 0));
    }
    for (int64_t k = 0; k < node[0]; k++) for (int64_t j = 0; j < node[1]; j++) for (int64_t i = 0; i < node[2]; i++)
      p[(k * node[1] + j) * node[2] + i] = value(3, step, k + lower[0], j, i);
    TRY(ald_put_borrow(w, field[3], 0, p, NULL));
    if (!async) { TRY(ald_end(w)); continue; }
    TRY(ald_end_async(w, &request));
    for (int n = 0, done = 0; n < 3 + step && !done; n++) TRY(ald_test(w, request, &done));
  }
  process_state(now);
  if (!async && strcmp(before, now)) { fprintf(stderr, "before:\n%safter a step:\n%s", before, now); return 1; }
  TRY(ald_close(&w));
  process_state(now);
  if (strcmp(before, now)) { fprintf(stderr, "before:\n%safter closing:\n%s", before, now); return 1; }
#ifdef OWN_HDF5
  const hid_t one = H5Screate_simple(1, &(hsize_t){1}, NULL);
  H5Sselect_hyperslab(space, H5S_SELECT_SET, &(hsize_t){rank}, NULL, &(hsize_t){1}, NULL);
  if (H5Dwrite(set, H5T_NATIVE_INT, one, space, H5P_DEFAULT, &rank) < 0 || H5Dclose(set) < 0 || H5Fclose(file) < 0) return 1;
#endif
  MPI_Comm_get_errhandler(MPI_COMM_WORLD, &after);
  if (after != handler) { fprintf(stderr, "the host's error handler was changed\n"); return 1; }
  if (rank == 0) {  // and back
    ald_reader *r = NULL;
    int32_t number, component;
    double region[2 * 3 * 4];
    const int64_t lo[3] = {30, 7, 5}, n[3] = {2, 3, 4};
    if (ald_reader_open(argv[1], &r) || ald_reader_find(r, 2, "w", &number, &component) || ald_reader_read(r, 2, number, component, lo, n, region)) {
      fprintf(stderr, "reading: %s\n", ald_reader_error(r));
      return 1;
    }
    for (int q = 0; q < 24; q++) {
      const double e = region[q] - flow(2, 2, 30 + q / 12, 7 + q / 4 % 3, 5 + q % 4);
      if (!(e <= 0.01 && e >= -0.01)) { fprintf(stderr, "value %d is wrong by %g\n", q, e); return 1; }
    }
    ald_reader_close(&r);
  }
  MPI_Finalize();
  return 0;
}
