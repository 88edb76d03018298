import Fields
import Statistics

/// A grid with one participant, which has all of it.
public final class SoleDomain: Domain {
  public let grid: Grid
  public let coordinates: Coordinates
  public var box: Box { grid.box }
  private let axes: [FourierAxis]

  public init(_ grid: Grid, coordinates: Coordinates = .unit) {
    self.grid = grid; self.coordinates = coordinates
    axes = (0..<3).map { FourierAxis(grid.shape[$0]) }
  }

  public func merged<M: Mergeable>(_ part: M) throws -> M { part }
  public func gathered(_ part: [Double]) throws -> [[Double]] { [part] }

  /// Calls `body` with every cell of `part`, a box that may reach beyond periodic faces, row by row: offset in the part, offset of the
  /// wrapped row in the grid, and the wrapped x of the row's cells.
  private func eachRow(of part: Box, _ body: (_ offset: Int, _ row: Int, _ x: [Int]) -> Void) {
    let n = grid.shape
    func wrapped(_ a: Int) -> [Int] {
      (part.lower[a]..<max(part.lower[a], part.upper[a])).map { i in
        precondition(grid.periodic[a] || (i >= 0 && i < n[a]), "cells beyond a face that does not wrap")
        return (i % n[a] + n[a]) % n[a]
      }
    }
    let z = wrapped(0), y = wrapped(1), x = wrapped(2)
    var offset = 0
    for k in z { for j in y { body(offset, (k * n.y + j) * n.x, x); offset += x.count } }
  }

  private func copy(_ p: FieldPart, to part: Box, at box: Box) -> FieldPart {
    var out = FieldPart(box)
    p.values.withUnsafeBufferPointer { from in
      out.values.withUnsafeMutableBufferPointer { to in
        eachRow(of: part) { offset, row, x in
          if x[x.count - 1] - x[0] == x.count - 1 {
            (to.baseAddress! + offset).update(from: from.baseAddress! + row + x[0], count: x.count)
          } else { for i in x.indices { to[offset + i] = from[row + x[i]] } }
        }
      }
    }
    return out
  }

  public func haloed(_ parts: FieldParts, width: Int) throws -> FieldParts {
    parts.map { copy($0, to: haloBox(width), at: haloBox(width)) }
  }

  public func handed(_ parts: FieldParts, to boxes: [Box]) throws -> [FieldParts] {
    boxes.map { b in parts.map { b.isEmpty ? FieldPart(b) : copy($0, to: b, at: b) } }
  }

  public func accumulated(_ parts: FieldParts, width: Int) throws -> FieldParts {
    let halo = haloBox(width), n = grid.shape
    return parts.map { p in
      var out = FieldPart(box)
      // Images in the order of their shifts, the cell itself first.
      func turns(_ a: Int) -> ClosedRange<Int> {
        grid.periodic[a] && n[a] > 1 ? -((width + n[a] - 1) / n[a])...(width + n[a] - 1) / n[a] : 0...0
      }
      func add(_ shift: Index3) {
        let image = box.shifted(by: shift).intersection(halo)
        if image.isEmpty { return }
        for z in image.lower.z..<image.upper.z { for y in image.lower.y..<image.upper.y {
          let from = halo.offset(of: Index3(z, y, image.lower.x))
          let to = box.offset(of: Index3(z, y, image.lower.x) - shift)
          for i in 0..<image.shape.x { out.values[to + i] += p.values[from + i] }
        } }
      }
      add(Index3(0, 0, 0))
      for z in turns(0) { for y in turns(1) { for x in turns(2) where (z, y, x) != (0, 0, 0) {
        add(Index3(z * n.z, y * n.y, x * n.x))
      } } }
      return out
    }
  }

  public func shifted(_ parts: FieldParts, by offset: Index3) throws -> FieldParts {
    parts.map { copy($0, to: box.shifted(by: offset), at: box) }
  }

  public func transformed(_ parts: FieldParts) throws -> [SpectralPart] {
    let n = grid.shape, h = n.x / 2 + 1
    let spectra = parts.map { p in
      var out = SpectralPart(Box(shape: Index3(n.z, n.y, h)), [Double](repeating: 0, count: 2 * n.z * n.y * h))
      out.values.withUnsafeMutableBufferPointer { b in
        axes[2].real(p.values, to: b.baseAddress!, rows: n.z * n.y)
        axes[1].complex(b.baseAddress!, backward: false, lines: h, blocks: n.z)
        axes[0].complex(b.baseAddress!, backward: false, lines: n.y * h, blocks: 1)
      }
      return out
    }
    try checkKernelMemory()
    return spectra
  }

  public func inverse(_ spectra: [SpectralPart]) throws -> FieldParts {
    let n = grid.shape, h = n.x / 2 + 1
    let parts = spectra.map { s in
      var half = s.values, out = FieldPart(box)
      half.withUnsafeMutableBufferPointer { b in
        axes[0].complex(b.baseAddress!, backward: true, lines: n.y * h, blocks: 1)
        axes[1].complex(b.baseAddress!, backward: true, lines: h, blocks: n.z)
        out.values.withUnsafeMutableBufferPointer { axes[2].real(from: b.baseAddress!, to: $0.baseAddress!, rows: n.z * n.y) }
      }
      return out
    }
    try checkKernelMemory()
    return parts
  }
}
