import Foundation
import LatentGeometry

/// What latents tell and how they lie, per container and field. See docs/report.md.
public struct AuditReport: Codable, Equatable, Sendable {
  public struct Point: Codable, Equatable, Sendable {
    /// The file's own name.
    public var container: String
    public var field: String
    public var steps: [Int]
    /// Of the first step: what was asked for, and the codec.
    public var bound = FieldReport.Bound(kind: "", value: .nan, absolute: .nan)
    public var transform = ""
    @Number public var bitsPerValue: Double = .nan
    /// Standard deviation of the quantiser's noise in the kept coefficients: the unit of latents.
    @Number public var noise: Double = .nan
    public var information = Information()
    public var coefficients = Geometry()
    public var energies = Geometry()
    init(container: String, field: String, steps: [Int]) { self.container = container; self.field = field; self.steps = steps }
    enum CodingKeys: String, CodingKey {
      case container, field, steps, bound, transform, noise, information, coefficients, energies, bitsPerValue = "bits_per_value"
    }
  }

  /// Bits per patch.
  public struct Information: Codable, Equatable, Sendable {
    /// Stored bytes: an upper bound of I(X; decoded).
    @Number public var code: Double = .nan
    /// Gaussian bound over all kept coefficients.
    @Number public var gaussian: Double = .nan
    /// In the principal components: the same bound, the mixture, InfoNCE, neighbours, and the entropy of the quantiser's cells.
    @Number public var principalGaussian: Double = .nan
    @Number public var mixture: Double = .nan
    @Number public var contrastive: Double = .nan
    @Number public var neighbours: Double = .nan
    @Number public var binned: Double = .nan
    /// Neither the mixture nor InfoNCE nor the entropy of cells can be more: the logarithm of the number of samples.
    @Number public var limit: Double = .nan
    /// I(C; T) by the mixture, H(C), and I(X; T) - I(C; T).
    @Number public var classes: Double = .nan
    @Number public var classEntropy: Double = .nan
    @Number public var conditional: Double = .nan
    enum CodingKeys: String, CodingKey {
      case code, gaussian, mixture, contrastive, neighbours, binned, limit, classes, conditional
      case principalGaussian = "principal_gaussian", classEntropy = "class_entropy"
    }
  }

  public struct Utility: Codable, Equatable, Sendable {
    @Number public var neighboursAccuracy: Double = .nan
    @Number public var neighboursF1: Double = .nan
    @Number public var probeAccuracy: Double = .nan
    @Number public var probeF1: Double = .nan
    enum CodingKeys: String, CodingKey {
      case neighboursAccuracy = "neighbours_accuracy", neighboursF1 = "neighbours_f1", probeAccuracy = "probe_accuracy", probeF1 = "probe_f1"
    }
  }

  public struct Factors: Codable, Equatable, Sendable {
    public var first: String, second: String
    @Number public var orthogonality: Double
    @Number public var subspaceOrthogonality: Double
    @Number public var referenceOrthogonality: Double
    @Number public var chance: Double
    enum CodingKeys: String, CodingKey {
      case first, second, orthogonality, chance, subspaceOrthogonality = "subspace_orthogonality", referenceOrthogonality = "reference_orthogonality"
    }
  }

  /// Of one kind of latents.
  public struct Geometry: Codable, Equatable, Sendable {
    public var dimensions = 0
    @Number public var cdnv: Double = .nan
    @Number public var referenceCDNV: Double = .nan
    @Number public var nc1: Double = .nan
    @Number public var referenceNC1: Double = .nan
    @Number public var prototypization: Double = .nan
    @Number public var specialization: Double = .nan
    /// Classes that specialization compares.
    public var frequent = 0, rare = 0
    /// A_cc', row by row.
    public var distortion: [Row] = []
    public var utility = Utility()
    public var referenceUtility = Utility()
    public var factors: [Factors] = []
    public struct Row: Codable, Equatable, Sendable { @Numbers public var values: [Double] }
    enum CodingKeys: String, CodingKey {
      case dimensions, cdnv, nc1, prototypization, specialization, frequent, rare, distortion, utility, factors
      case referenceCDNV = "reference_cdnv", referenceNC1 = "reference_nc1", referenceUtility = "reference_utility"
    }
  }

  /// How information and clustering go together along the points of a field.
  public struct Relation: Codable, Equatable, Sendable {
    public var field: String
    public var points: Int
    /// Spearman's rho of bits per value and CDNV; NaN below three points.
    @Number public var coefficients: Double
    @Number public var energies: Double
  }

  /// Samples of a field.
  public struct Sample: Codable, Equatable, Sendable {
    public var field: String
    /// What the classes are, and further factors.
    public var labels: [String]
    public var patch: [Int]
    public var patches: Int
    /// Patches without a class or with missing values, and those of other extents at the ends of axes.
    public var leftOut: Int
    /// Of those, what compares all pairs takes.
    public var shared: Int
    public var components: Int
    public var classes: [Int]
    /// Share of the original's energy in the kept coefficients.
    @Number public var energy: Double
    enum CodingKeys: String, CodingKey { case field, labels, patch, patches, shared, components, classes, energy, leftOut = "left_out" }
  }

  /// The reference's own name; empty: the original.
  public var reference = ""
  public var samples: [Sample] = []
  public var points: [Point] = []
  public var relations: [Relation] = []

  mutating func relate() {
    for f in samples.map(\.field) {
      let p = points.filter { $0.field == f }
      func rho(_ y: (Point) -> Double) -> Double { rankCorrelation(p.map(\.bitsPerValue), p.map(y)) }
      relations.append(Relation(field: f, points: p.count, coefficients: rho { $0.coefficients.cdnv }, energies: rho { $0.energies.cdnv }))
    }
  }

  func lines() -> [String] {
    func row(_ words: [String], _ widths: [Int]) -> String {
      zip(words, widths).map { $0.padding(toLength: $1, withPad: " ", startingAt: 0) }.joined(separator: " ")
    }
    func value(_ v: Double) -> String { v.isFinite ? String(format: "%.3g", v) : "-" }
    let wide = [22, 9, 9, 9, 9, 9, 9, 9]
    var out: [String] = []
    for s in samples {
      out.append("\(s.field)  \(s.patches) patches of \(s.patch.map(String.init).joined(separator: "x")) cells, classes by \(s.labels[0]): \(s.classes.map(String.init).joined(separator: ", "))"
        + (s.leftOut > 0 ? " (\(s.leftOut) left out)" : ""))
      let p = points.filter { $0.field == s.field }
      out.append("  information, bits per patch (at most \(value(p.first?.information.limit ?? .nan)) by mixture and InfoNCE; H(C) \(value(p.first?.information.classEntropy ?? .nan)))")
      out.append("  " + row(["", "bits/val", "code", "gaussian", "mixture", "InfoNCE", "KSG", "I(C;T)"], wide))
      for q in p {
        let i = q.information
        out.append("  " + row([q.container] + [q.bitsPerValue, i.code, i.gaussian, i.mixture, i.contrastive, i.neighbours, i.classes].map(value), wide))
      }
      for (name, geometry) in [("coefficients", \Point.coefficients), ("energies of bands", \Point.energies)] as [(String, KeyPath<Point, Geometry>)] {
        out.append("  geometry of \(name), against \(reference.isEmpty ? "the original" : reference)")
        out.append("  " + row(["", "CDNV", "(ref.)", "NC1", "(ref.)", "proto", "special", "kNN"], wide))
        for q in p {
          let g = q[keyPath: geometry]
          out.append("  " + row([q.container] + [g.cdnv, g.referenceCDNV, g.nc1, g.referenceNC1, g.prototypization, g.specialization, g.utility.neighboursAccuracy].map(value), wide))
          for f in g.factors {
            out.append("    \(f.first) against \(f.second): orthogonality \(value(f.orthogonality)) (reference \(value(f.referenceOrthogonality)), chance \(value(f.chance)))")
          }
        }
      }
      for r in relations where r.field == s.field && r.points > 2 {
        out.append("  bits per value and CDNV along \(r.points) points: Spearman \(value(r.coefficients)) (coefficients), \(value(r.energies)) (energies)")
      }
    }
    return out
  }
}
