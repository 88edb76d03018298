#include "common.hpp"

using namespace ctorch;

namespace {

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
    const auto total = weighed(values, l.original, *o, numerators);
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

}
