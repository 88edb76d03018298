#include "common.hpp"
#include <ATen/CPUGeneratorImpl.h>
#include <cmath>

using namespace ctorch;

namespace {

// Cuts the layers from the flat vector, in their order.
struct Parameters {
  at::Tensor flat;
  int64_t at = 0;
  at::Tensor take(int64_t rows, int64_t columns) {
    const auto v = flat.narrow(0, at, rows * columns).view({rows, columns});
    at += rows * columns;
    return v;
  }
  at::Tensor take(int64_t n) { return take(1, n).squeeze(0); }
};

struct Layers {
  at::Tensor A, a, A1, a1, A2, S, s, S1, s1, S2, step, logits, means, scales;

  Layers(const ctorch_code &k, at::Tensor flat) {
    const int64_t q = k.inputs, l = k.latents, b = k.before, h = k.behind, m = k.mixtures;
    Parameters p{flat};
    A = p.take(l, q), a = p.take(l);
    if (b > 0) A1 = p.take(b, q), a1 = p.take(b), A2 = p.take(l, b);
    S = p.take(q, l), s = p.take(q);
    if (k.solve > 0) S = S / S.norm(2, 0, true).clamp_min(1e-12);
    if (h > 0) S1 = p.take(h, l), s1 = p.take(h), S2 = p.take(q, h);
    step = p.take(l).exp();
    if (m > 0) logits = p.take(l, m), means = p.take(l, m), scales = p.take(l, m).exp();
  }
  static int64_t count(const ctorch_code &k) {
    const int64_t q = k.inputs, l = k.latents, b = k.before, h = k.behind;
    return 2 * l * q + 2 * l + q + b * (q + 1 + l) + h * (l + 1 + q) + 3 * l * k.mixtures;
  }
  at::Tensor analysed(const at::Tensor &y) const {
    const auto z = at::linear(y, A, a);
    return A1.defined() ? z + at::linear(rectified(at::linear(y, A1, a1)), A2) : z;
  }
  at::Tensor synthesised(const at::Tensor &z) const {
    const auto y = at::linear(z, S, s);
    return S1.defined() ? y + at::linear(rectified(at::linear(z, S1, s1)), S2) : y;
  }
};

int64_t channels(const ctorch_code &k) { return k.components * (k.dimensions == 3 ? k.patch * k.patch * k.patch : k.patch * k.patch); }

struct Loaded {
  const ctorch_code &k;
  std::vector<int64_t> shape, cut;
  at::Tensor values, basis, dual;
  int64_t patches = 1;

  Loaded(const ctorch_code &k, const ctorch_blocks &b, at::Device where) : k(k), shape{b.count, k.components}, cut{b.count, channels(k)} {
    for (int a = 3 - k.dimensions; a < 3; a++) shape.push_back(b.extents[a]), cut.push_back(b.extents[a] / k.patch), patches *= cut.back();
    if (b.values) values = torch::from_blob(const_cast<float *>(b.values), shape, at::kFloat).to(where);
    if (k.basis) basis = torch::from_blob(const_cast<float *>(k.basis), {k.inputs, channels(k)}, at::kFloat).to(where);
    dual = k.dual ? torch::from_blob(const_cast<float *>(k.dual), {k.inputs, channels(k)}, at::kFloat).to(where) : basis;
    patches *= b.count;
  }
  // [patch][channel]
  at::Tensor rows() const { return patched(values, k.patch).movedim(1, -1).reshape({patches, channels(k)}); }
  at::Tensor coordinates() const { return basis.defined() ? at::linear(rows(), basis) : rows(); }
  at::Tensor decoded(const at::Tensor &y) const {
    auto grid = cut;
    grid.erase(grid.begin() + 1);
    grid.push_back(channels(k));
    return unpatched((dual.defined() ? at::matmul(y, dual) : y).view(grid).movedim(-1, 1), k.patch, k.components);
  }
  at::Tensor given(const float *v, at::Device where) const { return torch::from_blob(const_cast<float *>(v), {patches, k.latents}, at::kFloat).to(where); }
};

// Rounded, with the derivative of the identity.
at::Tensor through(const at::Tensor &t) { return t + (at::round(t) - t).detach(); }

// Bits of t under mixtures of logistic distributions over cells of one step.
at::Tensor bits(const Layers &l, const at::Tensor &t) {
  const auto d = t.unsqueeze(-1) - l.means, w = at::softmax(l.logits, 1);
  // Of both sides of the middle the one that does not cancel.
  const auto side = at::where(d > 0, -1.0, 1.0).to(t.scalar_type()).detach();
  const auto mass = side * (at::sigmoid(side * (d + 0.5) / l.scales) - at::sigmoid(side * (d - 0.5) / l.scales));
  return -at::log2((w * mass).sum(-1).clamp_min(1e-9)).sum();
}

struct Quantised { at::Tensor t, rate, symbols; };

// Magnitudes of latents, or norms of their groups, for each latent.
at::Tensor sizes(const ctorch_code &k, const at::Tensor &t) {
  if (k.group == 1) return t.abs();
  const int64_t g = k.group;
  return (t.view({-1, k.latents / g, g}).square().sum(-1, true) + 1e-12).sqrt().expand({-1, -1, g}).reshape(t.sizes());
}
// argmin |t' - t|^2 / 2 + limit |t'|.
at::Tensor shrunken(const ctorch_code &k, const at::Tensor &t, const at::Tensor &limit) { return t * (1 - limit / sizes(k, t).clamp_min(1e-9)).clamp_min(0); }

// argmin |y - S t|^2 / 2 + limit |t|, then, `debias`, argmin |y - S t|^2 over those that are not 0.
at::Tensor solved(const ctorch_code &k, const at::Tensor &S, const at::Tensor &y, const at::Tensor &limit, bool debias) {
  const at::NoGradGuard none;
  const auto gram = at::matmul(S.t(), S), b = at::matmul(y, S);
  // Largest eigenvalue from above: power iteration, and a little more.
  auto v = at::ones({k.latents}, S.options());
  double largest = 1;
  for (int i = 0; i < 30; i++) {
    v = at::matmul(gram, v);
    largest = std::max(v.norm().item<double>(), 1e-12);
    v = v / largest;
  }
  const double rate = 1 / (1.05 * largest);
  auto t = at::zeros_like(b), w = t;
  double pace = 1;
  for (int i = 0; i < k.solve; i++) {
    const auto next = shrunken(k, w + rate * (b - at::matmul(w, gram)), rate * limit);
    const double then = 0.5 * (1 + std::sqrt(1 + 4 * pace * pace));
    w = next + (pace - 1) / then * (next - t);
    t = next, pace = then;
  }
  if (!debias) return t;
  // Conjugate gradients on each patch's own support.
  const auto kept = (t != 0).to(t.scalar_type());
  auto r = kept * (b - at::matmul(t, gram)), p = r, power = r.square().sum(1, true);
  for (int i = 0; i < k.solve; i++) {
    const auto q = kept * at::matmul(p, gram), bend = (p * q).sum(1, true);
    // Columns that say the same leave directions along which nothing is to be found.
    const auto step = at::where(bend > 1e-3 * p.square().sum(1, true), power / bend.clamp_min(1e-20), at::zeros_like(bend));
    t = t + step * p;
    r = r - step * q;
    const auto next = r.square().sum(1, true);
    p = r + next / power.clamp_min(1e-20) * p;
    power = next;
  }
  return t;
}

Quantised sparse(const ctorch_code &k, const Layers &l, const at::Tensor &y, const at::Tensor &random) {
  const auto costs = k.costs ? torch::from_blob(const_cast<float *>(k.costs), {k.latents}, at::kFloat).to(y.device()) : at::ones({k.latents}, y.options());
  const auto limit = costs * k.threshold;
  const bool rounded = !random.defined();
  const auto penalty = [&](const at::Tensor &size) { return (costs * size).sum() / static_cast<double>(k.group); };
  if (k.solve > 0) {
    auto t = solved(k, l.S, (y - l.s).detach(), limit * l.step, rounded || k.debias) / l.step;
    if (rounded || k.debias) t = at::round(t); else t = t + random * (t != 0);
    return {t, penalty(sizes(k, t)), t};
  }
  const auto t = (k.debias ? l.analysed(y).detach() : l.analysed(y)) / l.step, size = sizes(k, t);
  if (rounded || k.debias) {
    const auto q = at::where(size > limit, at::round(t), at::zeros_like(t)).detach();
    return {q, penalty(size * (size > limit)), q};
  }
  if (k.smooth > 0) return {t, penalty((size.square() + k.smooth * k.smooth).sqrt()), {}};
  const auto left = shrunken(k, t, limit);
  return {left + random * (left != 0), penalty((size - limit).clamp_min(0)), {}};
}

Quantised quantised(const ctorch_code &k, const Layers &l, const at::Tensor &y, const float *noise, const Loaded &data) {
  const auto random = noise ? data.given(noise, y.device()) : at::Tensor();
  if (k.kind == CTORCH_SPARSE) return sparse(k, l, y, random);
  const auto z = l.analysed(y);
  if (k.kind == CTORCH_FACTORIZED) {
    const auto t = z / l.step, q = noise ? t + random : through(t);
    return {q, bits(l, q), noise ? at::Tensor() : q};
  }
  // The posterior's deviation is step / sqrt(12), as if the latents were rounded; the prior's is 1.
  const auto deviation = l.step / std::sqrt(12.0);
  const auto divergence = 0.5 * (z.square() + deviation.square() - 1) - deviation.log();
  const auto t = z / l.step, q = noise ? t + random / std::sqrt(12.0) : through(t);
  return {q, divergence.sum() / std::log(2.0), noise ? at::Tensor() : q};
}

}  // namespace

extern "C" {

int ctorch_code_loss(const ctorch_code *k, const float *parameters, const ctorch_blocks *b, double rate, const ctorch_objective *o, int32_t device,
                     double *numerators, float *gradient, int32_t *symbols) {
  return guarded([&] {
    const auto where = deviceOf(device);
    const at::AutoGradMode mode(gradient != nullptr);
    const Loaded data(*k, *b, where);
    auto flat = torch::from_blob(const_cast<float *>(parameters), {Layers::count(*k)}, at::kFloat).to(where).clone();
    flat.set_requires_grad(gradient != nullptr);
    const Layers l(*k, flat);
    const auto q = quantised(*k, l, data.coordinates(), b->noise, data);
    const auto values = data.decoded(l.synthesised(q.t * l.step));
    const auto total = weighed(values, data.values, *o, numerators + 1) + q.rate * rate;
    numerators[0] = q.rate.item<double>();
    if (gradient) {
      total.backward();
      const auto g = flat.grad().to(at::kCPU).contiguous();
      const float *p = g.data_ptr<float>();
      for (int64_t i = 0; i < g.numel(); i++) gradient[i] += p[i];
    }
    if (symbols) {
      TORCH_CHECK(q.symbols.defined(), "latents with noise are no symbols");
      const auto s = at::round(q.symbols.detach()).clamp(-1e9, 1e9).to(at::kInt).to(at::kCPU).contiguous();
      std::copy(s.data_ptr<int32_t>(), s.data_ptr<int32_t>() + s.numel(), symbols);
    }
  });
}

int ctorch_code_analysis(const ctorch_code *k, const float *parameters, const ctorch_blocks *b, int32_t device, float *latents) {
  return guarded([&] {
    const auto where = deviceOf(device);
    const at::NoGradGuard none;
    const Loaded data(*k, *b, where);
    const Layers l(*k, torch::from_blob(const_cast<float *>(parameters), {Layers::count(*k)}, at::kFloat).to(where));
    const auto z = l.analysed(data.coordinates()).to(at::kCPU).contiguous();
    std::copy(z.data_ptr<float>(), z.data_ptr<float>() + z.numel(), latents);
  });
}

int ctorch_code_synthesis(const ctorch_code *k, const float *parameters, const ctorch_blocks *b, const float *latents, int32_t device, float *values) {
  return guarded([&] {
    const auto where = deviceOf(device);
    const at::NoGradGuard none;
    const Loaded data(*k, *b, where);
    const Layers l(*k, torch::from_blob(const_cast<float *>(parameters), {Layers::count(*k)}, at::kFloat).to(where));
    const auto v = data.decoded(l.synthesised(data.given(latents, where))).to(at::kCPU).contiguous();
    std::copy(v.data_ptr<float>(), v.data_ptr<float>() + v.numel(), values);
  });
}

int ctorch_code_sensitivity(const ctorch_code *k, const ctorch_blocks *b, const ctorch_objective *o, uint64_t seed, int32_t device, double *sums) {
  return guarded([&] {
    const auto where = deviceOf(device);
    const at::AutoGradMode mode(true);
    const Loaded data(*k, *b, where);
    auto y = at::zeros({data.patches, k->inputs}, data.values.options());
    y.set_requires_grad(true);
    probed(data.values + data.decoded(y), *o, seed).backward();
    const at::NoGradGuard none;
    const auto g = y.grad().to(at::kCPU).to(at::kDouble), m = at::matmul(g.t(), g).contiguous();
    const double *p = m.data_ptr<double>();
    for (int64_t i = 0; i < m.numel(); i++) sums[i] += p[i];
  });
}

int ctorch_code_curvature(const ctorch_code *k, const float *parameters, const ctorch_blocks *b, const ctorch_objective *o, double size, uint64_t seed, int32_t device, double *sums) {
  return guarded([&] {
    const auto where = deviceOf(device);
    const Loaded data(*k, *b, where);
    at::Tensor decoded;
    {
      const at::NoGradGuard none;
      const Layers l(*k, torch::from_blob(const_cast<float *>(parameters), {Layers::count(*k)}, at::kFloat).to(where));
      decoded = data.decoded(l.synthesised(quantised(*k, l, data.coordinates(), b->noise, data).t * l.step));
    }
    const auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
    const auto signs = (at::randint(0, 2, {data.patches}, generator, at::TensorOptions(at::kFloat)) * 2 - 1).to(where);
    const at::AutoGradMode mode(true);
    for (int64_t c = 0; c < k->inputs; c++) {
      at::Tensor slope;
      for (const double h : {size, -size}) {
        auto y = at::zeros({data.patches, k->inputs}, data.values.options());
        y.select(1, c).copy_(signs * h);
        y.set_requires_grad(true);
        changed(data.values + data.decoded(y), data.values, decoded, *o).backward();
        const auto g = y.grad() / (2 * h);
        slope = slope.defined() ? slope + g : g;
      }
      const auto column = at::matmul(signs, slope.detach()).to(at::kCPU).to(at::kDouble).contiguous();
      const double *p = column.data_ptr<double>();
      for (int64_t i = 0; i < k->inputs; i++) sums[c * k->inputs + i] += p[i];
    }
  });
}

int ctorch_code_moments(const ctorch_code *k, const ctorch_blocks *b, double *sums) {
  return guarded([&] {
    const at::NoGradGuard none;
    const Loaded data(*k, *b, at::kCPU);
    const auto u = data.rows().to(at::kDouble), m = at::matmul(u.t(), u).contiguous(), first = u.sum(0).contiguous();
    const double *p = m.data_ptr<double>();
    for (int64_t i = 0; i < m.numel(); i++) sums[i] += p[i];
    p = first.data_ptr<double>();
    for (int64_t i = 0; i < first.numel(); i++) sums[m.numel() + i] += p[i];
  });
}

}
