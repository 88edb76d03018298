// Output of Athena++: included in a problem file, whose UserWorkAfterLoop calls alidade_end(). Every block of this rank is a box; blocks may move between ranks.
#include <alidade.hpp>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace {
alidade::Writer out;
alidade::Field<Real> rho, velocity[3], pressure;
double since = 0, spent = 0;
std::int64_t request = 0;

bool told(int status) {
  if (status) std::fprintf(stderr, "alidade: %d %s\n", status, out.error().c_str());
  return status == 0;
}

alidade::Box box(const MeshBlock *b) {
  const auto &n = b->block_size;
  return {{b->loc.lx3 * n.nx3, b->loc.lx2 * n.nx2, b->loc.lx1 * n.nx1}, {n.nx3, n.nx2, n.nx1}};
}
}  // namespace

void Mesh::UserWorkInLoop() {
  const char *folder = std::getenv("INSITU_FOLDER"), *every = std::getenv("INSITU_EVERY"), *bound = std::getenv("INSITU_BOUND");
  const std::int64_t step = ncycle + 1;  // the state belongs to the next cycle
  const bool beside = std::getenv("INSITU_ASYNC");  // coded while the solver goes on
  const double start = MPI_Wtime();
  if (!folder || step % (every ? std::atoi(every) : 10)) {
    if (beside && request) {
      bool done;
      told(out.test(request, done));
      if (done) request = 0;
      spent += MPI_Wtime() - start;
    }
    return;
  }
  const std::string place = folder;
  std::vector<alidade::Box> boxes;
  for (int i = 0; i < nblocal; i++) boxes.push_back(box(my_blocks(i)));
  if (!out.handle()) {
    ald_options o = alidade::options();
    o.opening = ALD_REPLACE;
    if (!told(out.open(MPI_COMM_WORLD, place + "/run.alds", o))) return;
    const RegionSize &m = mesh_size;
    const std::vector<bool> wraps = {mesh_bcs[BoundaryFace::inner_x3] == BoundaryFlag::periodic, mesh_bcs[BoundaryFace::inner_x2] == BoundaryFlag::periodic,
                                     mesh_bcs[BoundaryFace::inner_x1] == BoundaryFlag::periodic};
    const ald_bound e = alidade::relative(bound ? std::atof(bound) : 1e-4);
    told(out.grid({m.nx3, m.nx2, m.nx1}, wraps));
    const double low[3] = {m.x3min, m.x2min, m.x1min}, high[3] = {m.x3max, m.x2max, m.x1max};
    const int n[3] = {m.nx3, m.nx2, m.nx1};
    for (int a = 0; a < 3; a++) told(out.uniform(a, low[a] + (high[a] - low[a]) / n[a] / 2, (high[a] - low[a]) / n[a]));
    told(out.field("rho", rho, e));
    const char *names[3] = {"vx", "vy", "vz"};
    for (int c = 0; c < 3; c++) told(out.field(names[c], velocity[c], e));
    told(out.field("press", pressure, e));
    told(out.vector<Real>("velocity", {velocity[0], velocity[1], velocity[2]}));
    told(out.boxes(boxes));
    told(out.commit());
  } else {
    told(out.boxes(boxes));
  }
  told(out.begin(step, time + dt));
  for (int i = 0; i < nblocal; i++) {
    MeshBlock *b = my_blocks(i);
    AthenaArray<Real> &w = b->phydro->w;
    const alidade::Index n = {b->block_size.nx3, b->block_size.nx2, b->block_size.nx1};
    const alidade::Index stride = {std::int64_t(w.GetDim2()) * w.GetDim1(), w.GetDim1(), 1};
    const auto put = [&](alidade::Field<Real> f, int variable) {
      told(out.put(f, alidade::View<Real>(&w(variable, b->ks, b->js, b->is), n, stride), i));
    };
    put(rho, IDN);
    for (int c = 0; c < 3; c++) put(velocity[c], IVX + c);
    put(pressure, IPR);
  }
  const bool done = told(beside ? out.end_async(request) : out.end());
  const double finish = MPI_Wtime();
  ald_stats t;
  if (done && Globals::my_rank == 0 && out.stats(t) == 0) {
    if (std::FILE *f = std::fopen((place + "/times").c_str(), "a")) {
      std::fprintf(f, "%lld %g %g %lld %lld %lld\n", (long long)step, since > 0 ? start - since - spent : 0, finish - start + spent, (long long)t.raw_bytes,
                   (long long)t.stored_bytes, (long long)t.file_bytes);
      std::fclose(f);
    }
  }
  if (std::getenv("INSITU_DUMP")) {
    const char *names[5] = {"rho", "vx", "vy", "vz", "press"};
    for (int v = 0; v < 5; v++) for (int i = 0; i < nblocal; i++) {
      MeshBlock *b = my_blocks(i);
      const std::string name = place + "/" + names[v] + "." + std::to_string(step) + "." + std::to_string(b->gid) + ".raw";
      if (std::FILE *f = std::fopen(name.c_str(), "wb")) {
        const std::int64_t head[6] = {b->loc.lx1 * b->block_size.nx1, b->loc.lx2 * b->block_size.nx2, b->loc.lx3 * b->block_size.nx3,
                                      b->block_size.nx1, b->block_size.nx2, b->block_size.nx3};
        std::fwrite(head, sizeof head, 1, f);
        for (int k = b->ks; k <= b->ke; k++) for (int j = b->js; j <= b->je; j++)
          std::fwrite(&b->phydro->w(v == 0 ? IDN : v == 4 ? IPR : IVX + v - 1, k, j, b->is), sizeof(Real), b->block_size.nx1, f);
        std::fclose(f);
      }
    }
  }
  since = MPI_Wtime();
  spent = 0;
}

static void alidade_end() {
  if (out.handle()) told(out.close());
}
