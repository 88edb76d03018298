// What both kinds of networks need of libtorch.
#pragma once
#include "CTorch.h"
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/generated/variable_factories.h>
#include <torch/types.h>
#include <string>

namespace ctorch {

extern thread_local std::string message;

// Runs `body`: 0, or -1 with what it threw in `message`.
template <typename Body> int guarded(Body body) {
  try {
    body();
    return 0;
  } catch (const c10::Error &e) { message = e.what_without_backtrace(); } catch (const std::exception &e) { message = e.what(); } catch (...) { message = "unknown"; }
  return -1;
}

at::Device deviceOf(int32_t);
at::Tensor rectified(const at::Tensor &);
// `a` without `by` on each side of each spatial axis.
at::Tensor cropped(at::Tensor a, int64_t by);
// Cells to channels, and back.
at::Tensor patched(const at::Tensor &, int64_t patch);
at::Tensor unpatched(const at::Tensor &, int64_t patch, int64_t components);

// Sum of squared errors of the values ([example][component][...]) and of those observables whose weight is not 0 into `numerators`: [D, P_0, P_1, ...].
// Returns the sum of lambda times numerator over scale.
at::Tensor weighed(const at::Tensor &values, const at::Tensor &original, const ctorch_objective &, double *numerators);
// Sum over observables of (lambda / scale)^1/2 xi . o(values), xi random signs: its gradient g has the mean sum lambda / scale J^T J of g g^T.
at::Tensor probed(const at::Tensor &values, const ctorch_objective &, uint64_t seed);
// Sum over energies and shells of lambda / scale times half the energy, by what decoding changes of it: see ctorch_code_curvature.
at::Tensor changed(const at::Tensor &values, const at::Tensor &original, const at::Tensor &decoded, const ctorch_objective &);

}  // namespace ctorch
