// What training needs of libtorch: value and gradient of the loss of a network, as functions of flat arrays.
//
// Networks behind transforms are those of Sources/Codecs/Learned/Network.swift; parameters are ordered as its `Shape.parameterCount` says. Arrays are C order,
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

// Codes of patches: an analysis, latents that are rounded, a synthesis. Of a patch of `patch`^dimensions cells with all components, u (values without their
// mean, over their scale), y = basis u are coordinates of decreasing variance, dual^T y the part of u that they hold, and
//
//     z = A y + a + A_2 r(A_1 y + a_1)          t = z / step          y^ = S z^ + s + S_2 r(S_1 z^ + s_1)          u^ = dual^T y^
//
// with z^ what quantisation leaves of t, times the step. Parameters, one after the other: A [latent][input], a; where before > 0: A_1, a_1, A_2; S [input][latent],
// s; where behind > 0: S_1, s_1, S_2; the logarithms of the steps; densities of t: `mixtures` logits, then means, then logarithms of scales, each [latent][mixture].
enum { CTORCH_FACTORIZED, CTORCH_SPARSE, CTORCH_VARIATIONAL };
typedef struct ctorch_code {
  int32_t kind, components, dimensions, patch, inputs, latents, before, behind, mixtures;
  const float *basis;              // [inputs][channels]; NULL: the unit matrix
  const float *dual;               // [inputs][channels], basis dual^T = 1; NULL: the basis, whose rows are orthonormal
  // Sparse codes. With lambda / 2 = `threshold` `costs` steps, the penalty is lambda |t| over latents, or over the norms of groups of latents.
  // `solve` > 0: S has columns of norm 1, there are no hidden layers, and t minimises |y - s - S t|^2 + penalty: so many steps of FISTA. Else t is what
  // the analysis gives, shrunken towards 0 as the minimum would be for orthogonal S; or, `smooth` > 0, as it is under lambda sqrt(t^2 + smooth^2).
  // Rounded latents and `debias`: no shrinkage is left on what is not 0; solved values are fitted anew, others do not move the analysis.
  const float *costs;              // [latents]; NULL: all 1
  double threshold, smooth;
  int32_t group, solve, debias;
} ctorch_code;

// Blocks of whole patches.
typedef struct ctorch_blocks {
  int32_t count, extents[3];
  const float *values;             // [count][component][z][y][x]
  const float *noise;              // [count][patch][latent]; NULL: latents are rounded (gradients pass as if they were not)
} ctorch_blocks;

// Numerators: [R, D, P_0, ...]. R: bits under the density (factorized), the divergence of posterior and prior in bits (variational), or the sum of costs |t| (sparse).
// Adds the gradient of rate * R + lambda_D D + ... to `gradient` where that is not NULL. `symbols`, where not NULL: rounded latents [patch][latent].
int ctorch_code_loss(const ctorch_code *, const float *parameters, const ctorch_blocks *, double rate, const ctorch_objective *, int32_t device,
                     double *numerators, float *gradient, int32_t *symbols);
// Latents before quantisation, [patch][latent]: z, not over the step.
int ctorch_code_analysis(const ctorch_code *, const float *parameters, const ctorch_blocks *, int32_t device, float *latents);
// Values of latents z^, [count][component][z][y][x].
int ctorch_code_synthesis(const ctorch_code *, const float *parameters, const ctorch_blocks *, const float *latents, int32_t device, float *values);
// Adds u u^T [channels][channels] and then u to `sums`, over the patches of blocks.
int ctorch_code_moments(const ctorch_code *, const ctorch_blocks *, double *sums);

// Adds sum_k (lambda_k / scale_k) J_k^T J_k [inputs][inputs] to `sums`, over the patches of blocks: J_k the derivative of observable k by a patch's y, at the
// values as they are; one sample, J^T xi with random signs xi that follow from `seed`.
int ctorch_code_sensitivity(const ctorch_code *, const ctorch_blocks *, const ctorch_objective *, uint64_t seed, int32_t device, double *sums);

// What the second derivative adds to that. Noise gives energy to a shell or takes it away; where that changes its root from o to o', its squared error grows by
// |o' - o| / max(o, o') with each unit of noise in it, in whatever direction: adds sum (lambda_k / scale_k) |o' - o| / max(o, o') nabla^2 o^2 / 2 [inputs][inputs], over
// the patches of blocks, and |o' - o| nabla^2 o of energies; o' of what the code (latents with noise) decodes. By differences of `size`, in all patches at once with
// random signs.
int ctorch_code_curvature(const ctorch_code *, const float *parameters, const ctorch_blocks *, const ctorch_objective *, double size, uint64_t seed, int32_t device, double *sums);

// Threads of every operation of this process.
int ctorch_threads(int32_t count);
// 0: no such device here. Devices: -1 is the CPU, others number CUDA devices.
int ctorch_has_device(int32_t device);
const char *ctorch_error(void);
const char *ctorch_version(void);

#ifdef __cplusplus
}
#endif
