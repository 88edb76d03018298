public import Codecs
import Glibc
import HDF5
public import MPI
import SnapshotIO

/// A network or an autoencoder in a file of its own, `.aldm`: HDF5 that says what it holds. docs/format.md section 10.
public struct ModelFile: Sendable {
  public var model: LearnedModel
  /// Where it comes from: text by name, e.g. what it was trained on.
  public var notes: [String: String]
  public var licence: String

  public init(_ model: LearnedModel, notes: [String: String] = [:], licence: String) {
    self.model = model; self.notes = notes; self.licence = licence
  }
  public init(_ network: Network, notes: [String: String] = [:], licence: String) { self.init(.network(network), notes: notes, licence: licence) }

  static let format = "alidade-model 1"
  private static let dataset = "network"

  /// Writes the file under a temporary name and renames it. Local.
  public func write(_ path: String) throws {
    let temporary = path + ".tmp", bytes = model.serialised, told = model.description
    do {
      let file = try File.create(temporary)
      let root = try file.object("/")
      try root.write("format", ModelFile.format)
      try root.write("hash", model.hashText)
      try root.write("licence", licence)
      try root.write("kind", told.kind)
      try root.write("normalisation", told.normalisation)
      try root.write("architecture", told.architecture)
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
  public static func read(_ path: String, ranks: borrowing Communicator) throws -> LearnedModel {
    let isFirst = ranks.rank == 0
    let bytes = try ranks.broadcast(try ranks.agree { isFirst ? try contents(path) : [] })
    return try ranks.agree { try LearnedModel(serialised: bytes) }
  }

  /// One for some of the fields.
  ///
  /// - Throws: as `read`, and `Failure(.model)`, on all ranks: no field is what it was made for.
  /// - Collective: all ranks.
  static func read(_ path: String, suiting fields: [FieldDescription], ranks: borrowing Communicator) throws -> LearnedModel {
    let m = try read(path, ranks: ranks)
    guard fields.contains(where: { m.suits($0.grid, components: $0.components) }) else { throw Failure(.model, "model '\(path)' is made for \(m.domain), as no field has them") }
    return m
  }

  /// The canonical bytes of the model in a file. Local.
  static func contents(_ path: String) throws -> [UInt8] {
    guard access(path, R_OK) == 0 else { throw Failure(.model, "model '\(path)' cannot be read: \(String(cString: strerror(errno)))") }
    let file = try? File.open(path), root = try? file?.object("/")
    guard let root, root.string("format") == format, let values = try? file?.object("/" + dataset).values() else {
      throw Failure(.model, "'\(path)' is no whole model file of this version")
    }
    let bytes = values.map { UInt8(min(max($0, 0), 255)) }
    guard let model = try? LearnedModel(serialised: bytes), root.string("hash") == model.hashText else {
      throw Failure(.model, "model '\(path)' is damaged: what it holds is not what its hash says")
    }
    return bytes
  }
}

/// Where the models that containers name come from.
enum ModelShelf {
  static let suffix = ".aldm"

  /// Adds the models of files to those that a container's fields may name.
  ///
  /// - Collective: all ranks.
  static func add(_ paths: [String], to reader: ContainerReader, ranks: borrowing Communicator) throws {
    for p in paths {
      let m = try ModelFile.read(p, ranks: ranks)
      reader.models[m.hash] = m
    }
  }

  /// The model of a field: from the header, the files given, or a model file in the folder of the container.
  ///
  /// - Throws: `Failure(.model)`, on all ranks: there is none with the hash; `.corrupt`: it does not suit the field or its member.
  /// - Collective: all ranks.
  static func model(of coding: FieldCoding, beside reader: ContainerReader, _ d: FieldDescription, needed what: String, ranks: borrowing Communicator) throws -> LearnedModel? {
    guard let reference = coding.network else { return nil }
    let model: LearnedModel
    switch reference {
    case .inline(let n): model = .network(n)
    case .stored(let hash):
      if reader.models[hash] == nil {
        let isFirst = ranks.rank == 0, path = reader.path
        let bytes = try ranks.broadcast(isFirst ? found(hash, in: folder(of: path)) : [])
        guard !bytes.isEmpty else {
          throw Failure(.model, "\(what) needs the model \(Network.text(of: hash)), which is neither given by --model nor a \(suffix) file beside the container")
        }
        reader.models[hash] = try ranks.agree { try LearnedModel(serialised: bytes) }
      }
      model = reader.models[hash]!
    }
    let isAutoencoder = if case .autoencoder = model { true } else { false }
    guard isAutoencoder == (coding.member == .autoencoder || coding.patches != nil), model.suits(d.grid, components: d.components) else { throw Failure(.corrupt, "\(what): its model is made for other fields") }
    return model
  }

  private static func folder(of path: String) -> String { path.lastIndex(of: "/").map { String(path[...$0]) } ?? "./" }

  /// Bytes of the model with a hash among the model files of a folder; empty: none.
  private static func found(_ hash: UInt64, in folder: String) -> [UInt8] {
    guard let d = opendir(folder) else { return [] }
    defer { closedir(d) }
    var names: [String] = []
    while let e = readdir(d) {
      let name = withUnsafePointer(to: e.pointee.d_name) { $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) } }
      if name.hasSuffix(suffix) { names.append(name) }
    }
    for n in names.sorted() {
      if let bytes = try? ModelFile.contents(folder + n), let model = try? LearnedModel(serialised: bytes), model.hash == hash { return bytes }
    }
    return []
  }
}
