import CAlidade
import Compressor
import Fields
import SnapshotIO

/// A scalar field as declared.
struct DeclaredField {
  let name: String
  let type: ScalarType
  let centring: ald_centring
  let units: String
  let grid: Grid
  /// Points more than the grid has, per padded axis.
  let extra: Index3
  var bound: ErrorBound
  var attributes: [StepCarry.Attribute] = []
  /// Boxes of its own; nil: those of the writer.
  var ownBoxes: [OwnedBox]?
}

/// A box as the host declared it, and the cells of it that are written from here.
struct OwnedBox {
  let box: Box
  /// Disjoint; all of the box but what a shared field takes from other boxes.
  var parts: [Box]
}

/// Several scalar fields that are coded together.
struct DeclaredVector { let name: String, fields: [Int] }

/// A field of the container: one scalar field, or the components of a vector.
struct CodedField {
  let description: FieldDescription
  let fields: [Int]
}

let axisLetters = ["z", "y", "x"]

extension DeclaredField {
  /// Along every axis.
  var wraps: Bool { (0..<3).allSatisfy { grid.shape[$0] == 1 || grid.periodic[$0] } }
  var description: FieldDescription {
    let letters = axisLetters[(3 - grid.dimensions)...].joined()
    let shape = [grid.shape.z, grid.shape.y, grid.shape.x].suffix(grid.dimensions)
    return FieldDescription(name: name, type: type, shape: Array(shape), axes: letters, periodic: grid.periodic, units: units)
  }
}

extension ald_centring {
  var name: String {
    switch self {
    case ALD_POINT: "point"
    case ALD_NODE: "node"
    case ALD_FACE_X: "face-x"
    case ALD_FACE_Y: "face-y"
    case ALD_FACE_Z: "face-z"
    default: "cell"
    }
  }
}

/// - Throws: `InSituError` (usage) for kinds that do not exist and values that make no sense.
func errorBound(_ b: ald_bound) throws -> ErrorBound {
  let kinds = ["lossless", "abs", "rel", "pwrel", "psnr", "rate"]
  guard kinds.indices.contains(Int(b.kind)), let bound = ErrorBound(kind: kinds[Int(b.kind)], value: b.value),
        bound == .lossless || (b.value > 0 && b.value.isFinite) else {
    throw InSituError(ALD_USAGE, "a bound of kind \(b.kind) and value \(b.value) makes no sense")
  }
  return bound
}

/// Gives every cell of overlapping boxes to the first that has it; those of lower ranks come first.
///
/// - Parameter all: the boxes of all ranks, in rank order.
func shared(_ all: [[Box]], rank: Int) -> [OwnedBox] {
  let before = all[..<rank].flatMap { $0 }
  var mine: [OwnedBox] = []
  for (i, b) in all[rank].enumerated() {
    var parts = b.isEmpty ? [] : [b]
    for taken in before + all[rank][..<i] where !taken.intersection(b).isEmpty { parts = parts.flatMap { $0.subtracting(taken) } }
    mine.append(OwnedBox(box: b, parts: parts))
  }
  return mine
}
