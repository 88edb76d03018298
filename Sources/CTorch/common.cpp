#include "common.hpp"
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <torch/cuda.h>
#include <torch/version.h>
#include <cmath>

namespace ctorch {

thread_local std::string message;

at::Device deviceOf(int32_t n) { return n < 0 ? at::Device(at::kCPU) : at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(n)); }
at::Tensor rectified(const at::Tensor &a) { return at::leaky_relu(a, 0.125); }
at::Tensor cropped(at::Tensor a, int64_t by) {
  if (by == 0) return a;
  for (int64_t d = 2; d < a.dim(); d++) a = a.narrow(d, by, a.size(d) - 2 * by);
  return a;
}

at::Tensor patched(const at::Tensor &a, int64_t p) {
  const auto s = a.sizes();
  if (a.dim() == 4) return a.reshape({s[0], s[1], s[2] / p, p, s[3] / p, p}).permute({0, 1, 3, 5, 2, 4}).reshape({s[0], s[1] * p * p, s[2] / p, s[3] / p});
  return a.reshape({s[0], s[1], s[2] / p, p, s[3] / p, p, s[4] / p, p}).permute({0, 1, 3, 5, 7, 2, 4, 6}).reshape({s[0], s[1] * p * p * p, s[2] / p, s[3] / p, s[4] / p});
}
at::Tensor unpatched(const at::Tensor &a, int64_t p, int64_t c) {
  const auto s = a.sizes();
  if (a.dim() == 4) return a.reshape({s[0], c, p, p, s[2], s[3]}).permute({0, 1, 4, 2, 5, 3}).reshape({s[0], c, s[2] * p, s[3] * p});
  return a.reshape({s[0], c, p, p, p, s[2], s[3], s[4]}).permute({0, 1, 5, 2, 6, 3, 7, 4}).reshape({s[0], c, s[2] * p, s[3] * p, s[4] * p});
}

namespace {

// Centred differences along a spatial axis (0: the slowest), on the cells that have both neighbours on all axes.
at::Tensor difference(const at::Tensor &a, int64_t axis) {
  const int64_t d = axis + 2, n = a.size(d);
  auto v = (a.narrow(d, 2, n - 2) - a.narrow(d, 0, n - 2)) * 0.5;
  for (int64_t e = 2; e < a.dim(); e++) if (e != d) v = v.narrow(e, 1, v.size(e) - 2);
  return v;
}

// Values of an observable of [example][component][...]: any shape, examples first.
at::Tensor observed(const at::Tensor &a, int k, const ctorch_objective &o) {
  const int64_t axes = a.dim() - 2;
  switch (k) {
    case CTORCH_BOX: return axes == 3 ? at::avg_pool3d(a, o.box) : at::avg_pool2d(a, o.box);
    case CTORCH_GRADIENT: {
      std::vector<at::Tensor> all;
      for (int64_t d = 0; d < axes; d++) all.push_back(difference(a, d));
      return at::cat(all, 1);
    }
    case CTORCH_VORTICITY: {
      std::vector<at::Tensor> all;
      for (int64_t d = 0; d < axes; d++) for (int64_t e = d + 1; e < axes; e++) {
        const int32_t cd = o.axes[d + 3 - axes], ce = o.axes[e + 3 - axes];
        TORCH_CHECK(cd >= 0 && ce >= 0, "vorticity needs a component for each axis");
        all.push_back(difference(a.narrow(1, ce, 1), d) - difference(a.narrow(1, cd, 1), e));
      }
      return at::cat(all, 1);
    }
    case CTORCH_ENERGY: return (a * a).flatten(2).mean(2);
    default: {
      // Power by shells of |k| of the tile under a Hann window.
      auto v = a;
      at::Tensor shell = at::zeros({1}, a.options());
      double unit = 1e30;
      for (int64_t d = 0; d < axes; d++) unit = std::min(unit, 1.0 / static_cast<double>(a.size(d + 2)));
      for (int64_t d = 0; d < axes; d++) {
        const int64_t n = a.size(d + 2);
        std::vector<int64_t> line(static_cast<size_t>(axes), 1);
        line[static_cast<size_t>(d)] = n;
        v = v * at::hann_window(n, true, a.options()).view(line);
        auto f = at::fft_fftfreq(n, 1.0, a.options()).view(line);
        shell = shell + f * f;
      }
      std::vector<int64_t> dims;
      for (int64_t d = 0; d < axes; d++) dims.push_back(d + 2);
      const auto t = at::fft_fftn(v, c10::nullopt, dims);
      const auto power = (at::real(t).square() + at::imag(t).square()).sum(1).flatten(1);
      const auto index = (shell.sqrt() / unit).round().to(at::kLong).flatten();
      const int64_t shells = index.max().item<int64_t>() + 1;
      return at::zeros({a.size(0), shells}, a.options()).index_add(1, index, power).sqrt();
    }
  }
}

}  // namespace

at::Tensor weighed(const at::Tensor &values, const at::Tensor &original, const ctorch_objective &o, double *numerators) {
  auto total = at::zeros({}, values.options());
  for (int t = 0; t <= CTORCH_OBSERVABLES; t++) {
    const double weight = t == 0 ? o.distortion : o.physics[t - 1];
    numerators[t] = 0;
    if (t > 0 && weight == 0) continue;
    const auto error = t == 0 ? values - original : observed(values, t - 1, o) - observed(original, t - 1, o);
    const auto sum = error.square().sum();
    numerators[t] = sum.item<double>();
    if (o.scale[t] > 0) total = total + sum * (weight / o.scale[t]);
  }
  return total;
}

at::Tensor probed(const at::Tensor &values, const ctorch_objective &o, uint64_t seed) {
  const auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  auto total = at::zeros({}, values.options());
  for (int k = 0; k < CTORCH_OBSERVABLES; k++) {
    if (o.physics[k] == 0 || o.scale[k + 1] <= 0) continue;
    const auto seen = observed(values, k, o);
    const auto signs = at::randint(0, 2, seen.sizes(), generator, at::TensorOptions(at::kFloat)).to(seen.device()) * 2 - 1;
    total = total + (seen * signs).sum() * std::sqrt(o.physics[k] / o.scale[k + 1]);
  }
  return total;
}

at::Tensor changed(const at::Tensor &values, const at::Tensor &original, const at::Tensor &decoded, const ctorch_objective &o) {
  auto total = at::zeros({}, values.options());
  for (int k : {CTORCH_ENERGY, CTORCH_SPECTRUM}) {
    if (o.physics[k] == 0 || o.scale[k + 1] <= 0) continue;
    const auto before = observed(original, k, o).detach(), after = observed(decoded, k, o).detach(), by = (after - before).abs(), own = observed(values, k, o);
    const auto energy = k == CTORCH_ENERGY ? (by * own).sum() : (by / at::maximum(before, after).clamp_min(1e-20) * own.square()).sum() * 0.5;
    total = total + energy * (o.physics[k] / o.scale[k + 1]);
  }
  return total;
}

}  // namespace ctorch

extern "C" {

int ctorch_threads(int32_t count) { return ctorch::guarded([&] { at::set_num_threads(count); }); }
int ctorch_has_device(int32_t device) { return device < 0 || (torch::cuda::is_available() && device < static_cast<int32_t>(torch::cuda::device_count())); }
const char *ctorch_error(void) { return ctorch::message.c_str(); }
const char *ctorch_version(void) { return TORCH_VERSION; }

}
