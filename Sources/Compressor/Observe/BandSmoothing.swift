/// Sensitivities g that one random cotangent gives are mean squares of few coefficients, known to sqrt(2/n). Steps and predictions that follow such
/// chance gain on paper only, and their table costs bits.
///
/// Each band takes the mean over those bands next to it in frequency (3^3, itself included) that differ from it by less than two standard errors of
/// the difference; steep or single sensitivities stay.
/// - Parameter g: `[component][band]`, bands `(fz M + fy) M + fx`.
/// - Parameter n: coefficients that each is the mean square of; 0: none, such bands are left out.
/// - Parameter m: M.
func smoothed(_ g: [Double], of n: [Double], edge m: Int) -> [Double] {
  let size = m * m * m
  var out = g
  g.withUnsafeBufferPointer { g in
    n.withUnsafeBufferPointer { n in
      for i in g.indices where n[i] > 0 {
        let first = i / size * size, band = i - first, f = (band / (m * m), band / m % m, band % m)
        var sum = 0.0, weight = 0.0
        for z in max(0, f.0 - 1)...min(m - 1, f.0 + 1) { for y in max(0, f.1 - 1)...min(m - 1, f.1 + 1) { for x in max(0, f.2 - 1)...min(m - 1, f.2 + 1) {
          let j = first + (z * m + y) * m + x
          if n[j] <= 0 { continue }
          let d = g[j] - g[i], variance = 2 * (g[i] * g[i] / n[i] + g[j] * g[j] / n[j])
          if d * d <= 4 * variance { sum += n[j] * g[j]; weight += n[j] }
        } } }
        out[i] = sum / weight
      }
    }
  }
  return out
}
