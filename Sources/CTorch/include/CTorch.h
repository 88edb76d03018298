// What training needs of libtorch: value and gradient of the loss of a network, as functions of flat arrays.
//
// The network is that of Sources/Codecs/Learned/Network.swift; parameters are ordered as its `Shape.parameterCount` says. Arrays are C order,
// binary32. Functions return 0, or -1 with a message in `ctorch_error` (one per thread); no exception passes.
#pragma once
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef struct ctorch_network { int32_t components, dimensions, patch, width, blocks; } ctorch_network;

// Examples of one size. `decoded` has `margin` patches more than `original` on each side of each axis that is not of one cell.
typedef struct ctorch_examples {
  int32_t count, extents[3];        // cells of `original` along z, y, x: multiples of the patch
  const float *decoded;             // [count][component][z][y][x], in steps
  const float *original;            // the same, without margin
} ctorch_examples;

// Observables whose squared errors the loss holds.
enum { CTORCH_BOX, CTORCH_GRADIENT, CTORCH_VORTICITY, CTORCH_ENERGY, CTORCH_SPECTRUM, CTORCH_OBSERVABLES };

// D is the squared error over that of `decoded`, both summed over the examples; P_k that of observable k over its value for `decoded`.
// Denominators are given so that they may be those of a whole set: [D, P_0, P_1, ...].
typedef struct ctorch_objective {
  double distortion;                          // lambda_D
  double physics[CTORCH_OBSERVABLES];         // lambda_P of each
  double scale[1 + CTORCH_OBSERVABLES];       // denominators
  int32_t box;                                // edge of averaged boxes, cells
  int32_t axes[3];                            // component that belongs to axis z, y, x (vorticity); -1: none
} ctorch_objective;

// Numerators: [D, P_0, P_1, ...] of the corrected values (`parameters` NULL: of the decoded ones as they are).
// Adds the gradient of lambda_D D + sum of lambda_k P_k to `gradient` where that is not NULL.
int ctorch_loss(const ctorch_network *, const float *parameters, const ctorch_examples *, const ctorch_objective *, int32_t device,
                double *numerators, float *gradient);
// Corrected values, [count][component][z][y][x].
int ctorch_forward(const ctorch_network *, const float *parameters, const ctorch_examples *, int32_t device, float *corrected);

// Threads of every operation of this process.
int ctorch_threads(int32_t count);
// 0: no such device here. Devices: -1 is the CPU, others number CUDA devices.
int ctorch_has_device(int32_t device);
const char *ctorch_error(void);
const char *ctorch_version(void);

#ifdef __cplusplus
}
#endif
