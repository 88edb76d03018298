import CZstd
import HDF5
public import MPI

/// What is kept losslessly of an input: an HDF5 file with everything but the fields' values, compressed.
///
/// Fields stand in it as datasets of their type, shape and attributes, without storage; references between
/// datasets (dimension scales) are those of this file. A decompressed file starts as a copy of it.
public enum Carry {
  /// - Parameter image: The bytes of an HDF5 file.
  static func compress(_ image: [UInt8]) throws -> [UInt8] {
    var out = [UInt8](repeating: 0, count: ZSTD_compressBound(image.count))
    let n = ZSTD_compress(&out, out.count, image, image.count, image.count < 4 << 20 ? 19 : 6)
    guard ZSTD_isError(n) == 0 else { throw SnapshotError(.writeFailed, file: "", "zstd: \(String(cString: ZSTD_getErrorName(n)))") }
    out.removeLast(out.count - n)
    return out
  }

  static func expand(_ bytes: [UInt8], file: String) throws -> [UInt8] {
    let size = ZSTD_getFrameContentSize(bytes, bytes.count)
    // -1 and -2 mean unknown and invalid.
    guard size < UInt64.max - 1, size <= UInt64(max(1, bytes.count)) << 20, let count = Int(exactly: size) else {
      throw SnapshotError(.badDirectory, file: file, "the losslessly carried part is not a zstd frame")
    }
    var out = [UInt8](repeating: 0, count: count)
    let n = ZSTD_decompress(&out, count, bytes, bytes.count)
    guard ZSTD_isError(n) == 0, n == count else {
      throw SnapshotError(.badDirectory, file: file, "the losslessly carried part cannot be expanded")
    }
    return out
  }
}

extension SnapshotInput {
  /// Everything of the input but the values of the fields, compressed; empty for raw input.
  ///
  /// Of a set of files the first one's. Floating datasets that were not asked for are left out.
  /// - Returns: On rank 0; empty on the others.
  /// - Collective: all ranks.
  public func carry(ranks: borrowing Communicator) throws -> [UInt8] {
    let isFirst = ranks.rank == 0
    return try ranks.agree {
      guard isFirst && !raw else { return [] }
      let source = try FieldScan.open(files[0])
      do {
        var placeholders: [String: ObjectCopy.Placeholder] = [:]
        for f in stored { placeholders[f.name] = .init(shape: f.shape) }
        var dropped = Set<String>()
        for name in otherFields where placeholders[name] == nil { dropped.insert(name) }
        let root = try source.object("/")
        let target = try File.create("carry", inMemory: true, creationOrder: tracksCreationOrder(root))
        var copy = ObjectCopy(from: source, to: target, placeholders: placeholders, dropped: dropped,
                              droppedAttributes: files.count > 1 ? SnapshotScan.positionAttributes : [])
        try copy.run()
        return try Carry.compress(target.image())
      } catch let e as HDF5Error {
        throw SnapshotError(.readFailed, file: files[0], "what is not a field cannot be carried over (\(e)); the file may be damaged")
      }
    }
  }

  /// Datasets that would be fields had nothing been asked for.
  private var otherFields: [String] {
    guard let scan = try? FieldScan(files[0], .init()) else { return [] }
    return scan.candidates
  }
}
