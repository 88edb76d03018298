public import Codecs
import Glibc
import HDF5
public import MPI
import SnapshotIO

/// A network in a file of its own, `.aldm`: HDF5 that says what it holds. docs/format.md section 10.
public struct ModelFile: Sendable {
  public var network: Network
  /// Where it comes from: text by name, e.g. what it was trained on.
  public var notes: [String: String]
  public var licence: String

  public init(_ network: Network, notes: [String: String] = [:], licence: String) {
    self.network = network; self.notes = notes; self.licence = licence
  }

  static let format = "alidade-model 1"
  private static let dataset = "network"

  /// Writes the file under a temporary name and renames it. Local.
  public func write(_ path: String) throws {
    let temporary = path + ".tmp", bytes = network.serialised, shape = network.shape
    do {
      let file = try File.create(temporary)
      let root = try file.object("/")
      try root.write("format", ModelFile.format)
      try root.write("hash", network.hashText)
      try root.write("licence", licence)
      try root.write("kind", "residual convolutional network behind the synthesis of a transform")
      try root.write("normalisation", "values are divided by the quantiser step")
      try root.write("architecture", "components \(shape.components), dimensions \(shape.dimensions), patch \(shape.patch), width \(shape.width), blocks \(shape.blocks)")
      for (k, v) in notes.sorted(by: { $0.key < $1.key }) { try root.write("trained_" + k, v) }
      let at = try createRaw(in: root, ModelFile.dataset, bytes: bytes.count)
      try file.close()
      let fd = open(temporary, O_WRONLY | O_CLOEXEC)
      defer { if fd >= 0 { Glibc.close(fd) } }
      guard fd >= 0, let at, bytes.withUnsafeBytes({ pwrite(fd, $0.baseAddress, $0.count, at) }) == bytes.count, fsync(fd) == 0, rename(temporary, path) == 0 else {
        throw Failure(.inputOutput, "cannot write '\(path)': \(String(cString: strerror(errno)))")
      }
    } catch {
      unlink(temporary)
      throw (error as? Failure) ?? Failure(.inputOutput, "cannot write '\(path)': \(error)")
    }
  }

  /// Rank 0 reads, the others receive.
  ///
  /// - Throws: `Failure(.model)` by way of `AgreedError`, on all ranks: missing, truncated, no model, or not what its hash says.
  /// - Collective: all ranks.
  public static func read(_ path: String, ranks: borrowing Communicator) throws -> Network {
    let isFirst = ranks.rank == 0
    let bytes = try ranks.broadcast(try ranks.agree { isFirst ? try contents(path) : [] })
    return try ranks.agree { try Network(serialised: bytes) }
  }

  /// The canonical bytes of the network in a file. Local.
  static func contents(_ path: String) throws -> [UInt8] {
    guard access(path, R_OK) == 0 else { throw Failure(.model, "model '\(path)' cannot be read: \(String(cString: strerror(errno)))") }
    let file = try? File.open(path), root = try? file?.object("/")
    guard let root, root.string("format") == format, let values = try? file?.object("/" + dataset).values() else {
      throw Failure(.model, "'\(path)' is no whole model file of this version")
    }
    let bytes = values.map { UInt8(min(max($0, 0), 255)) }
    guard let network = try? Network(serialised: bytes), root.string("hash") == network.hashText else {
      throw Failure(.model, "model '\(path)' is damaged: its network is not the one of its hash")
    }
    return bytes
  }
}

/// Where the networks that containers name come from.
enum ModelShelf {
  static let suffix = ".aldm"

  /// Adds the networks of model files to those that a container's fields may name.
  ///
  /// - Collective: all ranks.
  static func add(_ paths: [String], to reader: ContainerReader, ranks: borrowing Communicator) throws {
    for p in paths {
      let n = try ModelFile.read(p, ranks: ranks)
      reader.networks[n.hash] = n
    }
  }

  /// The network of a field: from the header, the files given, or a model file in the folder of the container.
  ///
  /// - Throws: `Failure(.model)`, on all ranks: there is none with the hash; `.corrupt`: it does not suit the field.
  /// - Collective: all ranks.
  static func network(
    _ reference: NetworkReference?, beside reader: ContainerReader, _ d: FieldDescription, needed what: String, ranks: borrowing Communicator
  ) throws -> Network? {
    guard let reference else { return nil }
    let network: Network
    switch reference {
    case .inline(let n): network = n
    case .stored(let hash):
      if reader.networks[hash] == nil {
        let isFirst = ranks.rank == 0, path = reader.path
        let bytes = try ranks.broadcast(isFirst ? found(hash, in: folder(of: path)) : [])
        guard !bytes.isEmpty else {
          throw Failure(.model, "\(what) needs the model \(Network.text(of: hash)), which is neither given by --model nor a \(suffix) file beside the container")
        }
        reader.networks[hash] = try ranks.agree { try Network(serialised: bytes) }
      }
      network = reader.networks[hash]!
    }
    guard network.shape.suits(d.grid, components: d.components) else { throw Failure(.corrupt, "\(what): its network is made for other fields") }
    return network
  }

  private static func folder(of path: String) -> String { path.lastIndex(of: "/").map { String(path[...$0]) } ?? "./" }

  /// Bytes of the network with a hash among the model files of a folder; empty: none.
  private static func found(_ hash: UInt64, in folder: String) -> [UInt8] {
    guard let d = opendir(folder) else { return [] }
    defer { closedir(d) }
    var names: [String] = []
    while let e = readdir(d) {
      let name = withUnsafePointer(to: e.pointee.d_name) { $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) } }
      if name.hasSuffix(suffix) { names.append(name) }
    }
    for n in names.sorted() {
      if let bytes = try? ModelFile.contents(folder + n), let network = try? Network(serialised: bytes), network.hash == hash { return bytes }
    }
    return []
  }
}
