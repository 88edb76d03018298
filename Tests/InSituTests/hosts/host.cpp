// A C++ program with many boxes dealt out to the ranks, an unequal number each and none on the last rank where there are several.
#include "common.h"
#include <alidade.hpp>

#define OK(call) do { int s_ = (call); if (s_) { fprintf(stderr, "%s:%d: status %d: %s\n", __FILE__, __LINE__, s_, out.error().c_str()); MPI_Abort(MPI_COMM_WORLD, 1); } } while (0)

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  int rank, size;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  alidade::Writer out;
  ald_options o = alidade::options();
  o.opening = ALD_REPLACE;
  o.key_interval = 3;
  const bool async = argc > 2 && !strcmp(argv[2], "async");
  int64_t request = 0;
  OK(out.open(MPI_COMM_WORLD, argv[1], o));
  OK(out.grid({NZ, NY, NX}, {true, true, false}));
  OK(out.uniform(2, 0, 0.25));
  std::vector<alidade::Box> boxes;
  const int holders = size > 1 ? size - 1 : 1;
  int n = 0;
  for (int64_t k = 0; k < NZ; k += 10) for (int64_t j = 0; j < NY; j += 11) for (int64_t i = 0; i < NX; i += 20)
    if (n++ % holders == rank) boxes.push_back({{k, j, i}, {10, 11, i == 0 ? 20 : NX - 20}});
  OK(out.boxes(boxes));
  alidade::Field<double> u, v, w;
  alidade::Field<float> p;
  OK(out.field("u", u, alidade::absolute(0.01), ALD_CELL, "m/s"));
  OK(out.field("v", v, alidade::absolute(0.01), ALD_CELL, "m/s"));
  OK(out.field("w", w, alidade::absolute(0.01), ALD_CELL, "m/s"));
  OK(out.field("p", p, alidade::lossless(), ALD_NODE, "", {1, 1, 1}));
  OK(out.vector<double>("velocity", {u, v, w}));
  OK(out.attribute("title", "hosts"));
  OK(out.attribute("Re", 1600));
  OK(out.commit());
  for (int step = 0; step < STEPS; step++) {
    OK(out.begin(10 * step, 0.5 * step));
    for (std::size_t b = 0; b < boxes.size(); b++) {
      const auto &lo = boxes[b].lower, &n = boxes[b].extent;
      // Three components interleaved, the component index fastest.
      std::vector<double> a(3 * n[0] * n[1] * n[2]);
      for (int64_t k = 0; k < n[0]; k++) for (int64_t j = 0; j < n[1]; j++) for (int64_t i = 0; i < n[2]; i++) for (int c = 0; c < 3; c++)
        a[((k * n[1] + j) * n[2] + i) * 3 + c] = flow(c, step, k + lo[0], j + lo[1], i + lo[2]);
      const alidade::Index stride = {3 * n[1] * n[2], 3 * n[2], 3};
      OK(out.put(u, alidade::View<double>(a.data(), n, stride), b));
      OK(out.put(v, alidade::View<double>(a.data() + 1, n, stride), b));
      OK(out.put(w, alidade::View<double>(a.data() + 2, n, stride), b));
      alidade::Index m = n;
      const int64_t shape[3] = {NZ, NY, NX};
      for (int x = 0; x < 3; x++) if (lo[x] + n[x] == shape[x]) m[x]++;
      std::vector<float> q(m[0] * m[1] * m[2]);
      for (int64_t k = 0; k < m[0]; k++) for (int64_t j = 0; j < m[1]; j++) for (int64_t i = 0; i < m[2]; i++)
        q[(k * m[1] + j) * m[2] + i] = value(3, step, k + lo[0], j + lo[1], i + lo[2]);
      OK(out.put(p, alidade::View<float>(q.data(), m), b));
    }
    if (!async) { OK(out.end()); continue; }
    bool done = false;
    OK(out.end_async(request));
    OK(out.test(request, done));
    OK(out.wait(request));
  }
  OK(out.close());
  MPI_Finalize();
}
