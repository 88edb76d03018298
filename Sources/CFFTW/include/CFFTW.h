#pragma once
// Macros and complex types of fftw3-mpi.h, which Swift does not import, as functions of doubles. No logic.
#include <fftw3-mpi.h>

static inline void cfftw_start(void) { fftw_mpi_init(); }
static inline void cfftw_finish(void) { fftw_mpi_cleanup(); }

// Cells this rank holds of an n^3 grid: real space by slabs of the first axis, Fourier space by slabs of the second.
// Returns how many complex numbers a block needs.
static inline ptrdiff_t cfftw_local_size(ptrdiff_t n, MPI_Comm comm, ptrdiff_t *n0, ptrdiff_t *start0, ptrdiff_t *n1,
                                         ptrdiff_t *start1) {
  return fftw_mpi_local_size_3d_transposed(n, n, n / 2 + 1, comm, n0, start0, n1, start1);
}
// In place, estimated: the same bits for every number of ranks.
static inline fftw_plan cfftw_plan_forward(ptrdiff_t n, double *block, MPI_Comm comm) {
  return fftw_mpi_plan_dft_r2c_3d(n, n, n, block, (fftw_complex *)block, comm, FFTW_ESTIMATE | FFTW_MPI_TRANSPOSED_OUT);
}
static inline fftw_plan cfftw_plan_backward(ptrdiff_t n, double *block, MPI_Comm comm) {
  return fftw_mpi_plan_dft_c2r_3d(n, n, n, (fftw_complex *)block, block, comm, FFTW_ESTIMATE | FFTW_MPI_TRANSPOSED_IN);
}
static inline void cfftw_forward(fftw_plan plan, double *block) { fftw_mpi_execute_dft_r2c(plan, block, (fftw_complex *)block); }
static inline void cfftw_backward(fftw_plan plan, double *block) { fftw_mpi_execute_dft_c2r(plan, (fftw_complex *)block, block); }
