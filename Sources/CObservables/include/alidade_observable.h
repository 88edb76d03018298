/* Observables from shared libraries: alidade ... --observe lib:./mine.so:NAME
 *
 * The library has three functions, NAME_value, NAME_jvp and NAME_vjp, of the types below. They are called on blocks of the grid; values
 * are sums over cells, o = sum over blocks of what NAME_value gives for the block, and the caller adds them up (exactly, in any order).
 * Arrays of a field are doubles [component][z][y][x] on the block and its halo, cells beyond a periodic face being the wrapped ones;
 * there are none beyond other faces or along axes of extent 1. Cells that are masked are NaN in u and zero in v.
 *
 * Each function returns the number of values m (the same everywhere, 1 to 65536), or a negative number for failure. All are called from
 * one thread, keep no state, and give the same result for the same block. */
#ifndef ALIDADE_OBSERVABLE_H
#define ALIDADE_OBSERVABLE_H
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

#define ALIDADE_OBSERVABLE_VERSION 1

typedef struct {
  uint32_t version;          /* ALIDADE_OBSERVABLE_VERSION */
  uint32_t components;       /* of the field; 0 is along x */
  uint32_t dimensions;       /* spatial axes of the field, the last of z, y, x */
  uint32_t periodic[3];      /* per axis z, y, x */
  int64_t shape[3];          /* the whole grid */
  int64_t lower[3], upper[3];            /* the cells to sum over, global indices lower <= i < upper */
  int64_t array_lower[3], array_upper[3]; /* the cells that the arrays hold: these and the halo */
  const double *positions[3];            /* positions of the shape[axis] grid points along each axis */
  int64_t halo;              /* cells on every side; set by NAME_value when it is asked, 0 to 64 */
} alidade_block;

/* Writes the block's share of the m values. Asked with u = values = NULL it only sets block->halo and returns m. */
typedef int64_t (*alidade_value)(alidade_block *block, const double *u, double *values);
/* Writes the block's share of the m derivatives along v. */
typedef int64_t (*alidade_jvp)(const alidade_block *block, const double *u, const double *v, double *derivatives);
/* Adds J^T w to field, an array like u that starts as zeros: d (sum_j w_j values_j) / d u, halo included. */
typedef int64_t (*alidade_vjp)(const alidade_block *block, const double *u, const double *w, double *field);

#ifdef __cplusplus
}
#endif
#endif
