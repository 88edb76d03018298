#include "CTorch.h"
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/generated/variable_factories.h>
#include <torch/cuda.h>
#include <torch/types.h>
#include <torch/version.h>
#include <string>

namespace {

thread_local std::string message;

template <typename Body> int guarded(Body body) {
  try {
    body();
    return 0;
  } catch (const c10::Error &e) { message = e.what_without_backtrace(); } catch (const std::exception &e) { message = e.what(); } catch (...) { message = "unknown"; }
  return -1;
}

at::Device deviceOf(int32_t n) { return n < 0 ? at::Device(at::kCPU) : at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(n)); }

struct Shape {
  const ctorch_network &k;
  int64_t channels() const { return k.components * (k.dimensions == 3 ? k.patch * k.patch * k.patch : k.patch * k.patch); }
  int64_t radius() const { return 1 + k.blocks; }
  int64_t parameters() const {
    const int64_t q = channels(), w = k.width, taps = k.dimensions == 3 ? 27 : 9;
    return q * q * taps + (w > 0 ? (q * taps + 1) * w + k.blocks * (w * taps + 1) * w + q * w : 0);
  }
};

// The parameters of one layer, cut from the flat vector.
at::Tensor layer(const at::Tensor &flat, int64_t &at, int64_t out, int64_t in, int64_t taps, int dimensions) {
  const int64_t n = out * in * (dimensions == 3 ? taps * taps * taps : taps * taps);
  auto w = flat.narrow(0, at, n);
  at += n;
  return dimensions == 3 ? w.view({out, in, taps, taps, taps}) : w.view({out, in, taps, taps});
}
at::Tensor convolve(const at::Tensor &a, const at::Tensor &w, const at::Tensor &bias = {}) { return w.dim() == 5 ? at::conv3d(a, w, bias) : at::conv2d(a, w, bias); }
at::Tensor rectified(const at::Tensor &a) { return at::leaky_relu(a, 0.125); }
// `a` without `by` on each side of each spatial axis.
at::Tensor cropped(at::Tensor a, int64_t by) {
  if (by == 0) return a;
  for (int64_t d = 2; d < a.dim(); d++) a = a.narrow(d, by, a.size(d) - 2 * by);
  return a;
}

// Cells to channels, and back.
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

at::Tensor corrected(const ctorch_network &k, const at::Tensor &flat, const at::Tensor &decoded) {
  const Shape shape{k};
  const int64_t q = shape.channels();
  int64_t at = 0;
  const auto u = patched(decoded, k.patch);
  auto change = convolve(cropped(u, shape.radius() - 1), layer(flat, at, q, q, 3, k.dimensions));
  if (k.width > 0) {
    auto h = u;
    for (int b = 0; b <= k.blocks; b++) {
      const auto w = layer(flat, at, k.width, b == 0 ? q : k.width, 3, k.dimensions);
      const auto bias = flat.narrow(0, at, k.width);
      at += k.width;
      const auto next = rectified(convolve(h, w, bias));
      h = b == 0 ? next : next + cropped(h, 1);
    }
    change = change + convolve(h, layer(flat, at, q, k.width, 1, k.dimensions));
  }
  return cropped(decoded, shape.radius() * k.patch) + unpatched(change, k.patch, k.components);
}

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

struct Loaded {
  at::Tensor decoded, original;
  Loaded(const ctorch_network &k, const ctorch_examples &e, at::Device device, bool both) {
    const int64_t margin = Shape{k}.radius() * k.patch;
    std::vector<int64_t> inner{e.count, k.components}, outer = inner;
    for (int a = 3 - k.dimensions; a < 3; a++) {
      inner.push_back(e.extents[a]);
      outer.push_back(e.extents[a] + 2 * margin);
    }
    decoded = torch::from_blob(const_cast<float *>(e.decoded), outer, at::kFloat).to(device);
    if (both) original = torch::from_blob(const_cast<float *>(e.original), inner, at::kFloat).to(device);
  }
};

}  // namespace

extern "C" {

int ctorch_loss(const ctorch_network *k, const float *parameters, const ctorch_examples *e, const ctorch_objective *o, int32_t device, double *numerators, float *gradient) {
  return guarded([&] {
    const auto where = deviceOf(device);
    const Loaded l(*k, *e, where, true);
    at::Tensor flat, values;
    if (parameters) {
      flat = torch::from_blob(const_cast<float *>(parameters), {Shape{*k}.parameters()}, at::kFloat).to(where).clone();
      flat.set_requires_grad(gradient != nullptr);
      values = corrected(*k, flat, l.decoded);
    } else { values = cropped(l.decoded, Shape{*k}.radius() * k->patch); }
    auto total = at::zeros({}, values.options());
    for (int t = 0; t <= CTORCH_OBSERVABLES; t++) {
      const double weight = t == 0 ? o->distortion : o->physics[t - 1];
      numerators[t] = 0;
      if (t > 0 && weight == 0) continue;
      const auto error = t == 0 ? values - l.original : observed(values, t - 1, *o) - observed(l.original, t - 1, *o);
      const auto sum = error.square().sum();
      numerators[t] = sum.item<double>();
      if (o->scale[t] > 0) total = total + sum * (weight / o->scale[t]);
    }
    if (gradient && total.requires_grad()) {
      total.backward();
      const auto g = flat.grad().to(at::kCPU).contiguous();
      const float *p = g.data_ptr<float>();
      for (int64_t i = 0; i < g.numel(); i++) gradient[i] += p[i];
    }
  });
}

int ctorch_forward(const ctorch_network *k, const float *parameters, const ctorch_examples *e, int32_t device, float *out) {
  return guarded([&] {
    const auto where = deviceOf(device);
    const at::NoGradGuard none;
    const Loaded l(*k, *e, where, false);
    const auto flat = torch::from_blob(const_cast<float *>(parameters), {Shape{*k}.parameters()}, at::kFloat).to(where);
    const auto v = corrected(*k, flat, l.decoded).to(at::kCPU).contiguous();
    std::copy(v.data_ptr<float>(), v.data_ptr<float>() + v.numel(), out);
  });
}

int ctorch_threads(int32_t count) { return guarded([&] { at::set_num_threads(count); }); }
int ctorch_has_device(int32_t device) { return device < 0 || (torch::cuda::is_available() && device < static_cast<int32_t>(torch::cuda::device_count())); }
const char *ctorch_error(void) { return message.c_str(); }
const char *ctorch_version(void) { return TORCH_VERSION; }

}
