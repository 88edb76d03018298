import CKernels
import Codecs
import Fields
import MPI
import Statistics

/// Steps of shells for one pass of the spectral member.
struct SpectralShaping {
  /// Over all shells of the field.
  let weights: ShellWeights
  /// Share of the error asked for that is aimed at.
  var aim = 1.0
  /// Added to this rank's numbers before they are weighted and rounded, one array per component.
  var change: [RawArray]?
  /// Step and shifts of an earlier pass, to be taken as they are.
  var fixed: (step: Double, shifts: [UInt8])?
}

/// What rounding does to the modes of each component and shell: sums of whole numbers, the same for any ranks.
struct ShellErrors {
  let components: Int, shells: Int
  let step: Double, largest: Double
  /// `[component][shell]`: the kernel's sums.
  let sums: [Int]
  private func sum(_ band: Int, _ k: Int) -> Double { Double(sums[band * Int(ALD_SHELL_SUMS) + k]) }
  private static let square = 0x1p-32, unit = 0x1p-16

  /// Means of |c|/step - |q| with the sign turned, by level, in 1/256.
  var shifts: [UInt8] {
    (0..<3).map { k in
      var n = 0.0, d = 0.0
      for b in 0..<components * shells { n += sum(b, 1 + 2 * k); d += sum(b, 2 + 2 * k) }
      return n > 0 ? UInt8(min(max((-d * ShellErrors.unit / n * 256).rounded(), 0), 120)) : 0
    }
  }
  /// Sum of squared errors of a band, of the numbers as they are quantised, in squared units of the field.
  func error(_ band: Int, _ shifts: [UInt8]) -> Double {
    var e = sum(band, 0) * ShellErrors.square
    for k in 0..<3 {
      let s = Double(shifts[k]) / 256
      e += 2 * s * sum(band, 2 + 2 * k) * ShellErrors.unit + sum(band, 1 + 2 * k) * s * s
    }
    return max(0, e) * step * step
  }

  func stepError(_ shaping: SpectralShaping, values: Int) -> SpectralEncoder.StepError {
    var out = SpectralEncoder.StepError()
    out.shifts = shaping.fixed?.shifts ?? shifts
    var square = 0.0, active = 0.0
    for c in 0..<components {
      for s in 0..<shells {
        let b = c * shells + s
        square += error(b, out.shifts) * shaping.weights.inverseSquare(component: c, shell: s)
        active += sum(b, 1) + sum(b, 3) + sum(b, 5)
      }
    }
    out.rmse = (square / Double(values)).squareRoot()
    out.active = active / Double(values)
    out.largest = largest
    return out
  }
}

extension SpectralEncoder {
  /// Shells of the field, the mean's counted.
  var shells: Int {
    let all = SpectralModes.all(transform.shape)
    return min(everything.shell(all.upper.z - 1, all.upper.y - 1, all.upper.x - 1), SpectralSettings.largestRadius) + 1
  }

  /// Of the numbers that are quantised.
  ///
  /// - Parameter rows: those that stand for all; `nil`: all.
  /// - Collective: all ranks.
  func shellErrors(_ step: Double, rows: ModeRows? = nil, ranks: borrowing Communicator) throws -> ShellErrors {
    let box = transform.mine, n = box.shape, shells = shells, modes = everything, size = components * shells * Int(ALD_SHELL_SUMS)
    let slots = Slots<([Int64], Double)>(max(1, encoder.threads), ([], 0)), lanes = box.isEmpty ? 0 : slots.count
    parallelFor(lanes, threads: encoder.threads) { lane in
      // Of rows that stand for themselves, and of those that stand for more.
      var parts = [[Int64]](repeating: [Int64](repeating: 0, count: size), count: rows == nil ? 1 : 2), more: Int64 = 1
      var largest = 0.0, shell = [Int32](repeating: 0, count: n.x)
      for z in stride(from: lane, to: n.z, by: lanes) {
        for y in 0..<n.y {
          let weight = Int64(rows?.weight(box.lower.z + z, box.lower.y + y) ?? 1)
          if weight == 0 { continue }
          if weight > 1 { more = weight }
          let kept = modes.range(box, box.lower.z + z, box.lower.y + y)
          shell.withUnsafeMutableBufferPointer {
            modes.shells(box.lower.z + z, box.lower.y + y, box.lower.x + kept.lowerBound, kept.count, highest: shells - 1, into: $0.baseAddress! + kept.lowerBound)
          }
          for (c, a) in numbers.enumerated() {
            parts[weight > 1 ? 1 : 0].withUnsafeMutableBufferPointer { sums in
              shell.withUnsafeBufferPointer { shell in
                ald_spectral_shell_errors(
                  a.bound(to: Double.self) + ((z * n.y + y) * n.x + kept.lowerBound) * 2, shell.baseAddress! + kept.lowerBound, kept.count, 1 / step,
                  sums.baseAddress! + c * shells * Int(ALD_SHELL_SUMS), &largest)
              }
            }
          }
        }
      }
      var sums = parts[0]
      if parts.count > 1 { for i in sums.indices { sums[i] += more * parts[1][i] } }
      slots[lane] = (sums, largest)
    }
    var sums = [Int](repeating: 0, count: size), largest = 0.0
    for lane in 0..<lanes {
      for i in 0..<size { sums[i] += Int(slots[lane].0[i]) }
      largest = max(largest, slots[lane].1)
    }
    return ShellErrors(
      components: components, shells: shells, step: step, largest: try ranks.allReduce(largest, .max), sums: try ranks.allReduce(sums, .sum))
  }
}
