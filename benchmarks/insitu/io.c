// mpirun -n R io N FIELDS FOLDER: seconds to bring one step of FIELDS arrays of N^3 doubles per rank to disk, made durable, best of three:
// parallel HDF5 without filter, with deflate 4 and shuffle, and libalidade (relative bound 1e-4, verified). The host's HDF5 is its own.
//   mpicc -O2 io.c $(pkg-config --cflags --libs alidade hdf5-openmpi) -lm
#include <alidade.h>
#include <fcntl.h>
#include <hdf5.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int rank, size;

static double hdf5(const char *path, int n, int fields, double **a, int filter) {
  MPI_Barrier(MPI_COMM_WORLD);
  const double start = MPI_Wtime();
  hid_t fapl = H5Pcreate(H5P_FILE_ACCESS), dxpl = H5Pcreate(H5P_DATASET_XFER), dcpl = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_fapl_mpio(fapl, MPI_COMM_WORLD, MPI_INFO_NULL);
  H5Pset_dxpl_mpio(dxpl, H5FD_MPIO_COLLECTIVE);
  hsize_t whole[3] = {(hsize_t)n * size, n, n}, box[3] = {n, n, n}, at[3] = {(hsize_t)n * rank, 0, 0};
  if (filter) { H5Pset_chunk(dcpl, 3, box); H5Pset_shuffle(dcpl); H5Pset_deflate(dcpl, 4); }
  hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, fapl);
  for (int f = 0; f < fields; f++) {
    char name[16];
    snprintf(name, sizeof name, "f%d", f);
    hid_t space = H5Screate_simple(3, whole, NULL), memory = H5Screate_simple(3, box, NULL);
    hid_t set = H5Dcreate2(file, name, H5T_NATIVE_DOUBLE, space, H5P_DEFAULT, dcpl, H5P_DEFAULT);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, at, NULL, box, NULL);
    H5Dwrite(set, H5T_NATIVE_DOUBLE, memory, space, dxpl, a[f]);
    H5Dclose(set); H5Sclose(space); H5Sclose(memory);
  }
  H5Fclose(file);
  H5Pclose(fapl); H5Pclose(dxpl); H5Pclose(dcpl);
  const int fd = open(path, O_RDWR);
  fsync(fd);
  close(fd);
  MPI_Barrier(MPI_COMM_WORLD);
  return MPI_Wtime() - start;
}

static long bytes(const char *path) { struct stat s; return stat(path, &s) ? 0 : (long)s.st_size; }

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  const int n = atoi(argv[1]), fields = argc > 3 ? atoi(argv[2]) : 1;
  char plain[4096], filtered[4096], series[4096];
  snprintf(plain, sizeof plain, "%s/plain.h5", argv[3]);
  snprintf(filtered, sizeof filtered, "%s/filtered.h5", argv[3]);
  snprintf(series, sizeof series, "%s/io.alds", argv[3]);
  double **a = malloc(fields * sizeof *a);
  const double pi = 3.14159265358979;
  for (int f = 0; f < fields; f++) {
    a[f] = malloc(sizeof(double) * n * n * n);
    for (long k = 0; k < n; k++) for (long j = 0; j < n; j++) for (long i = 0; i < n; i++) {
      double v = 0;  // a few waves of falling amplitude
      for (int m = 1; m <= 8; m++) v += sin(2 * pi * m * i / n + f) * cos(2 * pi * m * j / n + m) * sin(2 * pi * m * (k + (long)n * rank) / (n * size) + m * f) / (m * m);
      a[f][(k * n + j) * n + i] = v;
    }
  }
  ald_writer *w = NULL;
  ald_options o = {.size = sizeof o, .opening = ALD_REPLACE};
  int64_t whole[3] = {(int64_t)n * size, n, n}, lower[3] = {(int64_t)n * rank, 0, 0}, extent[3] = {n, n, n};
  int32_t number[64];
  ald_field_options option = {.size = sizeof option, .bound = {ALD_RELATIVE, 1e-4}};
  int status = ald_open(MPI_COMM_WORLD, series, &o, &w) | ald_grid(w, 3, whole, NULL) | ald_boxes(w, 1, lower, extent);
  for (int f = 0; f < fields; f++) {
    char name[16];
    snprintf(name, sizeof name, "f%d", f);
    status |= ald_field(w, name, &option, &number[f]);
  }
  status |= ald_commit(w);
  double best[3] = {1e9, 1e9, 1e9};
  ald_stats s = {.size = sizeof s};
  for (int round = 0; round < 3; round++) {
    best[0] = fmin(best[0], hdf5(plain, n, fields, a, 0));
    best[1] = fmin(best[1], hdf5(filtered, n, fields, a, 1));
    MPI_Barrier(MPI_COMM_WORLD);
    const double start = MPI_Wtime();
    status |= ald_begin(w, round, round);
    for (int f = 0; f < fields; f++) status |= ald_put_borrow(w, number[f], 0, a[f], NULL);
    status |= ald_end(w);
    best[2] = fmin(best[2], MPI_Wtime() - start);
    status |= ald_get_stats(w, &s);
  }
  if (status) fprintf(stderr, "%s\n", ald_last_error(w));
  ald_close(&w);
  if (!rank)
    printf("| %d | %d x %d^3 | %.2f s, %ld | %.2f s, %ld | %.2f s (writing %.2f), %ld |\n", size, fields, n, best[0], bytes(plain), best[1], bytes(filtered), best[2],
           s.write_seconds, (long)s.file_bytes);
  MPI_Finalize();
  return status != 0;
}
