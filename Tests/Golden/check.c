// The decoding kernels give the same bits on every architecture.
//
//   check DIR write   encodes synthetic fields with all kernels of this build; DIR/kernels.bin: streams, digests of what they decode to
//   check DIR         decodes those streams with this build and compares the digests
//
// A counter and basic arithmetic make the fields. Records of kernels.bin: name length, name, stream length, stream, digest.
#pragma STDC FP_CONTRACT OFF
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "CKernels.h"

enum { NZ = 8, NY = 20, NX = 28, CELLS = NZ * NY * NX };

static int writing, failures, count;
static FILE *file;

static void fail(const char *what) { fprintf(stderr, "check: %s\n", what); exit(2); }
static void *need(size_t bytes) {
  void *p = aligned_alloc(64, (bytes + 127) / 64 * 64);
  if (!p) fail("out of memory");
  memset(p, 0, (bytes + 127) / 64 * 64);
  return p;
}
static uint64_t digest(const void *data, size_t size) {
  const uint8_t *p = data;
  uint64_t h = 1469598103934665603ull;
  for (size_t i = 0; i < size; i++) h = (h ^ p[i]) * 1099511628211ull;
  return h;
}
static void put(const void *p, size_t n) { if (n && fwrite(p, 1, n, file) != n) fail("cannot write"); }
static void get(void *p, size_t n) { if (n && fread(p, 1, n, file) != n) fail("kernels.bin is too short"); }

// The stream of a record: the one just encoded, or the one of the file.
static uint8_t *stream(const char *name, uint8_t *encoded, size_t *size) {
  uint32_t n = (uint32_t)strlen(name), bytes = (uint32_t)*size;
  char found[64];
  if (writing) {
    put(&n, 4); put(name, n); put(&bytes, 4); put(encoded, bytes);
    return encoded;
  }
  get(&n, 4);
  if (n >= sizeof found) fail("not a list of streams");
  get(found, n);
  found[n] = 0;
  if (strcmp(found, name)) { fprintf(stderr, "check: %s where %s belongs\n", found, name); exit(2); }
  get(&bytes, 4);
  uint8_t *p = need(bytes);
  get(p, bytes);
  *size = bytes;
  return p;
}
static void result(const char *name, const void *data, size_t size) {
  uint64_t mine = digest(data, size), expected = mine;
  if (writing) put(&mine, 8); else get(&expected, 8);
  count++;
  if (mine != expected) failures++;
  printf("%-24s %016llx %s\n", name, (unsigned long long)mine, mine == expected ? "" : "DIFFERS");
}

// Smooth random numbers about in -1 ... 1.
static uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}
static double corner(int z, int y, int x) {
  return (double)(mix((((uint64_t)z * 1024 + (uint64_t)y) * 1024 + (uint64_t)x) * 0x9e3779b97f4a7c15ull + 7) >> 11) * 0x1p-52 - 1;
}
static double smooth(int z, int y, int x) {
  double sum = 0;
  for (int s = 11, scale = 0; s >= 5; s -= 6, scale++) {
    double t[3] = {(double)(z % s) / s, (double)(y % s) / s, (double)(x % s) / s}, v = 0;
    for (int a = 0; a < 3; a++) t[a] = t[a] * t[a] * (3 - 2 * t[a]);
    for (int c = 0; c < 8; c++) {
      double w = ((c & 4) ? t[0] : 1 - t[0]) * ((c & 2) ? t[1] : 1 - t[1]) * ((c & 1) ? t[2] : 1 - t[2]);
      v += w * corner(scale * 64 + z / s + (c >> 2), y / s + (c >> 1 & 1), x / s + (c & 1));
    }
    sum += scale ? v * 0.25 : v;
  }
  return sum;
}
static void field(float *f, double *d) {
  for (int z = 0, i = 0; z < NZ; z++) for (int y = 0; y < NY; y++) for (int x = 0; x < NX; x++, i++) {
    d[i] = smooth(z, y, x);
    f[i] = (float)d[i];
  }
}

// Shipped shapes as frequencies, in integers.
static ald_tables *tables(void) {
  static const uint32_t eighth[8] = {65536, 60097, 55109, 50535, 46341, 42495, 38968, 35734};   // 2^(16 - k / 8)
  static uint16_t freq[ALD_CLASSES][ALD_SYMBOLS];
  for (int c = 0; c < ALD_CLASSES; c++) {
    const uint8_t *base = ald_base_row(c);
    uint64_t w[ALD_SYMBOLS] = {0}, total = 0;
    for (int s = 0; s <= ALD_LARGEST; s++) { w[s] = ((uint64_t)eighth[base[s] & 7] << 16) >> (base[s] >> 3); total += w[s]; }
    uint32_t sum = 0;
    int top = 0;
    for (int s = 0; s <= ALD_LARGEST; s++) {
      freq[c][s] = (uint16_t)(w[s] * 4000 / total);
      sum += freq[c][s];
      if (freq[c][s] > freq[c][top]) top = s;
    }
    freq[c][ALD_ESCAPE] = 1;
    freq[c][top] = (uint16_t)(freq[c][top] + ALD_PROB_ONE - 1 - sum);
  }
  ald_tables *t = ald_tables_make(&freq[0][0]);
  if (!t) fail("tables");
  return t;
}

static void interpolation(const char *name, int size, int masked, int quotient) {
  float *f = need(4 * CELLS);
  double *d = need(8 * CELLS);
  field(f, d);
  ald_interp k = {.offset = 0, .unit = 0x1p-12 * 1.37, .quotient = quotient, .shift = 4, .weight_bits = 6, .dead_zone = 10};
  if (quotient) {   // values on a lattice of hundredths, coded exactly
    k.unit = 100; k.shift = 0; k.dead_zone = 0;
    for (int i = 0; i < CELLS; i++) { d[i] = floor(d[i] * 100) / 100 + 0.0; f[i] = (float)d[i]; }
  }
  static const int32_t steps[5] = {16, 13, 10, 8, 8};
  static const uint8_t context[ALD_INTERP_FEATURES] = {20, 8, 40, 70, 20, 30, 10};
  for (int l = 0; l < 5; l++) k.step[l] = quotient ? 1 : steps[l];
  for (int l = 0; l < ALD_INTERP_LEVELS; l++) for (int a = 0; a < 3; a++) { k.kind[l][a] = (uint8_t)((l + a) % 3 != 0); k.code[l][a] = (uint8_t)((l * 3 + a * 5) % 7); }
  for (int g = 0; g < ALD_INTERP_GROUPS; g++) memcpy(k.context[g], context, sizeof context);
  ald_interp_prepare(&k);
  uint8_t *mask = NULL;
  if (masked) {
    mask = need(CELLS);
    for (int i = 0; i < CELLS; i++) { mask[i] = f[i] > -0.6f; if (!mask[i]) { f[i] = 0; d[i] = 0; } }
  }
  ald_tables *t = tables();
  void *work = need(ald_interp_workspace(NZ, NY, NX)), *out = need(8 * CELLS);
  uint8_t *bytes = NULL;
  size_t n = 0;
  if (writing) {
    uint8_t *cls = need(CELLS + ALD_INTERP_SLACK);
    int32_t *val = need(4 * (CELLS + ALD_INTERP_SLACK));
    size_t values = ald_interp_encode(&k, size == 4 ? (void *)f : (void *)d, size, mask, NZ, NY, NX, work, cls, val, out);
    bytes = need(ald_encode_bound(values));
    n = ald_encode(t, cls, val, values, need(values), bytes, ald_encode_bound(values));
    if (!n) fail("nothing was encoded");
  }
  bytes = stream(name, bytes, &n);
  ald_decoder e;
  if (ald_decoder_open(&e, t, bytes, n)) fail("stream does not open");
  memset(out, 0, 8 * CELLS);
  ald_interp_decode(&k, &e, mask, NZ, NY, NX, work, out, size);
  if (ald_decoder_close(&e)) fail("stream is not used up");
  result(name, out, (size_t)size * CELLS);
}

static void bands(const char *name, int edge, int size) {
  // Coefficients of a smooth field: large at low frequencies, integers from the counter.
  int32_t start[3][8], *q = need(4 * CELLS);
  ald_tile_shape s = {.kind = edge ? ALD_BANDS_LOT : ALD_BANDS_WAVELET, .n = {NZ, NY, NX}, .block_edge = edge};
  for (int a = 0; a < 3 && edge; a++) {
    int b = s.n[a] / edge;
    if (s.n[a] % edge * 2 >= edge || b == 0) b++;
    s.blocks[a] = b;
    for (int k = 0; k < b; k++) start[a][k] = k * edge;
    s.starts[a] = start[a];
  }
  ald_band_model m;
  for (int g = 0; g < ALD_BAND_GROUPS; g++) for (int k = 0; k < ALD_BAND_FEATURES; k++) m.weight[g][k] = (uint8_t)(k == ALD_BAND_FEATURES - 1 ? 36 : (g * 3 + k * 5) % 9 + 2);
  for (int k = 0; k < ALD_BAND_SCALES; k++) m.scale[k] = (uint8_t)(edge ? (k < 16 ? 24 - k / 3 : 48 - k % 16 / 3) : 0);
  ald_tables *t = tables();
  uint8_t *bytes = NULL, side[16];
  size_t n = 0;
  if (writing) {
    for (int z = 0, i = 0; z < NZ; z++) for (int y = 0; y < NY; y++) for (int x = 0; x < NX; x++, i++) {
      int w = edge ? edge : 8, r = z % w + y % w + x % w;
      uint64_t h = mix((uint64_t)i + 99);
      double v = corner(z, y, x) * 60 / (1 + r * r * 0.4);
      q[i] = (int32_t)v + ((h & 15) == 0 ? (int32_t)(h >> 4 & 3) - 1 : 0);
    }
    ald_bands_survey(q, &s);
    if (ald_bands_check(&s)) fail("shape");
    size_t values = ald_bands_count(&s);
    uint8_t *cls = need(values + 64);
    int32_t *val = need(4 * (values + 64));
    if (ald_bands_symbols(q, &s, &m, cls, val) != values) fail("values are missing");
    bytes = need(ald_encode_bound(values) + 16);
    n = ald_encode(t, cls, val, values, need(values), bytes + 8, ald_encode_bound(values)) + 8;
    side[0] = (uint8_t)s.active[0]; side[1] = (uint8_t)s.active[1]; side[2] = (uint8_t)s.active[2]; side[3] = (uint8_t)s.difference;
    memcpy(side + 4, &s.zero_bands, 4);
    memcpy(bytes, side, 8);
  }
  bytes = stream(name, bytes, &n);
  for (int a = 0; a < 3; a++) s.active[a] = bytes[a];
  s.difference = bytes[3];
  memcpy(&s.zero_bands, bytes + 4, 4);
  if (ald_bands_check(&s)) fail("shape");
  ald_decoder e;
  if (ald_decoder_open(&e, t, bytes + 8, n - 8)) fail("stream does not open");
  memset(q, 0, 4 * CELLS);
  if (ald_bands_decode(&e, &s, &m, q)) fail("bands");
  if (ald_decoder_close(&e)) fail("stream is not used up");
  result(name, q, 4 * CELLS);

  // And on to values.
  ald_quantiser k = {.step = 0x1.1p-7, .inverse = 1 / 0x1.1p-7, .shift = {0.0625, 0.03125, 0.0078125}};
  void *c = need(8 * CELLS), *v = need(8 * CELLS);
  if (size == 4) ald_dequantise_f32(q, CELLS, &k, c); else ald_dequantise_f64(q, CELLS, &k, c);
  const int64_t lower[3] = {0, 0, 0}, upper[3] = {NZ, NY, NX};
  ald_view from = {c, {0, 0, 0}, {NZ, NY, NX}}, to = {v, {0, 0, 0}, {NZ, NY, NX}};
  if (edge) {
    ald_segment blocks[3][8], filters[3][16];
    int nb[3], nf[3];
    const ald_segment *pb[3], *pf[3];
    for (int a = 0; a < 3; a++) {
      int b = s.blocks[a];
      nb[a] = b;
      for (int i = 0; i < b; i++) blocks[a][i] = (ald_segment){start[a][i], (i + 1 < b ? start[a][i + 1] : s.n[a]) - start[a][i], ALD_SEGMENT_IDCT};
      int at = 0, used = 0, half = edge / 2 < s.n[a] - start[a][b - 1] ? edge / 2 : (s.n[a] - start[a][b - 1]) / 2;
      for (int i = 1; i < b; i++) {
        int h = i + 1 < b ? edge / 2 : half;
        filters[a][used++] = (ald_segment){at, start[a][i] - h - at, ALD_SEGMENT_IDENTITY};
        filters[a][used++] = (ald_segment){start[a][i] - h, 2 * h, ALD_SEGMENT_UNFILTER};
        at = start[a][i] + h;
      }
      if (at < s.n[a]) filters[a][used++] = (ald_segment){at, s.n[a] - at, ALD_SEGMENT_IDENTITY};
      nf[a] = 0;
      for (int i = 0; i < used; i++) if (filters[a][i].length > 0) filters[a][nf[a]++] = filters[a][i];
      pb[a] = blocks[a]; pf[a] = filters[a];
    }
    ald_pieces whole = {&from, {1, 1, 1}, {0, 0, 0}}, between = {&to, {1, 1, 1}, {0, 0, 0}};
    ald_segments_apply(size, &whole, &to, pb, nb, lower, upper);
    ald_segments_apply(size, &between, &from, pf, nf, lower, upper);
    v = c;
  } else {
    const int64_t extent[3] = {NZ, NY, NX};
    const int periodic[3] = {0, 0, 0};
    ald_wavelet_synthesise(size, &from, &to, extent, periodic, lower, upper);
  }
  char label[64];
  snprintf(label, sizeof label, "%s values", name);
  result(label, v, (size_t)size * CELLS);
}

static void lossless(const char *name, int size) {
  float *f = need(4 * CELLS);
  double *d = need(8 * CELLS);
  field(f, d);
  uint8_t *bytes = NULL;
  size_t n = 0;
  const int nz = 3;   // a few planes: lossless streams are long
  if (writing) {
    size_t cap = ald_lossless_cap(CELLS, size);
    bytes = need(cap);
    for (int i = 0; i < CELLS; i++) d[i] = f[i];   // doubles with empty tails
    n = size == 4 ? ald_lossless_encode32((uint32_t *)f, NULL, nz, 16, 18, bytes, cap) : ald_lossless_encode64((uint64_t *)d, NULL, nz, 16, 18, bytes, cap);
    if (!n) fail("nothing was encoded");
  }
  bytes = stream(name, bytes, &n);
  void *out = need(8 * CELLS);
  int rc = size == 4 ? ald_lossless_decode32(bytes, n, NULL, nz, 16, 18, out) : ald_lossless_decode64(bytes, n, NULL, nz, 16, 18, out);
  if (rc) fail("lossless stream is refused");
  result(name, out, (size_t)(nz * 16 * 18 * size));
}

static void mask(void) {
  float *f = need(4 * CELLS);
  double *d = need(8 * CELLS);
  uint8_t *cat = need(CELLS), *bytes = NULL;
  size_t n = 0;
  field(f, d);
  if (writing) {
    for (int i = 0; i < CELLS; i++) cat[i] = f[i] < -0.6f ? 1 : f[i] > 0.8f ? 2 : 0;
    bytes = need(ald_mask_cap(CELLS));
    n = ald_mask_encode(cat, NULL, NZ, NY, NX, bytes, ald_mask_cap(CELLS));
  }
  bytes = stream("mask", bytes, &n);
  memset(cat, 0, CELLS);
  if (ald_mask_decode(bytes, n, NULL, NZ, NY, NX, cat)) fail("mask is refused");
  result("mask", cat, CELLS);
}

static void outliers(void) {
  float *f = need(4 * CELLS), *y = need(4 * CELLS);
  double *d = need(8 * CELLS);
  field(f, d);
  // What a codec might have decoded.
  for (int i = 0; i < CELLS; i++) y[i] = (float)(d[i] + corner(i, 1, 2) * 0.0104);
  uint8_t *bytes = NULL;
  size_t n = 0;
  const double bound = 0.01;
  float *changed = need(4 * CELLS);
  memcpy(changed, y, 4 * CELLS);
  if (writing) {
    size_t many = ald_outlier_count(f, changed, 4, NULL, CELLS, bound, 0), cap = ald_outlier_cap(many, 4);
    bytes = need(cap);
    n = ald_outlier_encode(f, changed, 4, NULL, CELLS, bound, 0, many, bytes, cap);
  }
  bytes = stream("outliers", bytes, &n);
  if (ald_outlier_decode(bytes, n, y, 4, CELLS, bound)) fail("outliers are refused");
  result("outliers", y, 4 * CELLS);
}

static void logarithm(int log_size, int size) {
  double *l = need(8 * CELLS), *d = need(8 * CELLS);
  float *f = need(4 * CELLS);
  uint8_t *negative = need(CELLS);
  char name[64];
  size_t n = 0;
  for (int i = 0; i < CELLS; i++) { d[i] = corner(i, 3, 4) * 100; negative[i] = (uint8_t)(i % 3 == 0); f[i] = (float)d[i]; }
  snprintf(name, sizeof name, "logarithm %d to %d", log_size * 8, size * 8);
  stream(name, NULL, &n);
  memset(l, 0, 8 * CELLS);
  ald_log_inverse(log_size == 4 ? (void *)f : (void *)d, log_size, negative, NULL, CELLS, l, size);
  result(name, l, (size_t)size * CELLS);
}

// Complex lines of n points side by side, forward and back.
static void fourier(int n, int size) {
  enum { LINES = 5 };
  double *d = need(16 * (size_t)n * LINES), *back = need(16 * (size_t)n * LINES);
  float *f = (float *)d;
  char name[64];
  size_t none = 0;
  for (int i = 0; i < 2 * n * LINES; i++) {
    const double v = corner(i, n, 5);
    if (size == 4) f[i] = (float)v; else d[i] = v;
  }
  ald_fft *plan = ald_fft_create(n, size);
  if (!plan) fail("plan");
  snprintf(name, sizeof name, "fourier %d of %d bits", n, size * 8);
  stream(name, NULL, &none);
  ald_fft_lines(plan, 0, d, LINES, back, LINES, LINES);
  ald_fft_lines(plan, 1, back, LINES, back, LINES, LINES);
  result(name, back, 2 * (size_t)size * (size_t)n * LINES);
  ald_fft_free(plan);
}

// One layer of a network of 3^3 taps, rectified with a skip.
static void network(void) {
  enum { N = 6, M = N + 2, IN = 24, OUT = 32, PADDED = 32 };
  float *in = need(4 * M * M * M * PADDED), *out = need(4 * N * N * N * OUT), *weights = need(4 * 27 * IN * OUT), *bias = need(4 * OUT);
  const int32_t m[3] = {M, M, M}, n[3] = {N, N, N}, margin[3] = {1, 1, 1};
  size_t none = 0;
  for (int i = 0; i < M * M * M; i++) for (int c = 0; c < IN; c++) in[i * PADDED + c] = (float)corner(i, c, 6);
  for (int i = 0; i < 27 * IN * OUT; i++) weights[i] = (float)corner(i, 1, 7);
  for (int i = 0; i < OUT; i++) bias[i] = (float)corner(i, 2, 7);
  const ald_convolution k = {{3, 3, 3}, IN, PADDED, OUT, weights, bias};
  stream("network", NULL, &none);
  ald_convolve(&k, in, m, n, out);
  ald_rectify(out, n, OUT, in, margin);
  result("network", out, 4 * N * N * N * OUT);
}

// Weights of an interpolation between grids, and sums with them along rows and across.
static void resample(int size) {
  enum { FINE = 40, COARSE = 28, HALF = 8, TAPS = 2 * HALF, PHASES = 10, ROWS = 3, WIDTH = 160 };
  double power[12], error, gain, *w = need(8 * PHASES * TAPS), *out = need(8 * 2 * ROWS * FINE);
  float *wf = need(4 * PHASES * TAPS), *of = (float *)out;
  double *in = need(8 * ROWS * TAPS * WIDTH);
  float *f = need(4 * ROWS * TAPS * WIDTH);
  int32_t start[FINE], phase[FINE];
  char name[64];
  size_t none = 0;
  for (int k = 0; k < 12; k++) power[k] = k == 5 ? 0 : 1.0 / (1 + k * k);
  for (int i = 0; i < FINE; i++) { start[i] = i * COARSE / FINE; phase[i] = i % PHASES; }
  for (int i = 0; i < ROWS * TAPS * WIDTH; i++) f[i] = (float)(in[i] = corner(i, 3, 8));
  snprintf(name, sizeof name, "resample of %d bits", size * 8);
  stream(name, NULL, &none);
  if (ald_resample_weights(FINE, COARSE, HALF, power, 12, 1e-5, w, &error, &gain)) fail("weights");
  for (int i = 0; i < PHASES * TAPS; i++) wf[i] = (float)w[i];
  if (size == 4) {
    ald_resample_rows_f32(f, WIDTH, of, FINE, ROWS, FINE, start, phase, wf, TAPS);
    ald_resample_lines_f32(f, ROWS * FINE, of + ROWS * FINE, ROWS * 13 + 1, wf + TAPS, TAPS);
  } else {
    ald_resample_rows_f64(in, WIDTH, out, FINE, ROWS, FINE, start, phase, w, TAPS);
    ald_resample_lines_f64(in, ROWS * FINE, out + ROWS * FINE, ROWS * 13 + 1, w + TAPS, TAPS);
  }
  result(name, out, (size_t)size * (ROWS * FINE + ROWS * 13 + 1));
}

int main(int argc, char **argv) {
  if (argc < 2) fail("usage: check DIR [write]");
  char path[4096];
  snprintf(path, sizeof path, "%s/kernels.bin", argv[1]);
  writing = argc > 2 && !strcmp(argv[2], "write");
  file = fopen(path, writing ? "wb" : "rb");
  if (!file) fail("kernels.bin does not open");
  interpolation("interpolation", 4, 0, 0);
  interpolation("interpolation 64", 8, 0, 0);
  interpolation("interpolation masked", 4, 1, 0);
  interpolation("interpolation lattice", 4, 0, 1);
  bands("lot16", 16, 4);
  bands("lot8", 8, 4);
  bands("lot8 64", 8, 8);
  bands("wavelet97", 0, 4);
  bands("wavelet97 64", 0, 8);
  lossless("lossless", 4);
  lossless("lossless 64", 8);
  mask();
  outliers();
  logarithm(4, 4);
  logarithm(8, 4);
  logarithm(8, 8);
  fourier(120, 8);
  fourier(91, 8);
  fourier(74, 8);
  fourier(64, 4);
  network();
  resample(4);
  resample(8);
  if (!writing && fgetc(file) != EOF) fail("kernels.bin holds more");
  fclose(file);
  printf("%d digests, %d different\n", count, failures);
  return failures != 0;
}
