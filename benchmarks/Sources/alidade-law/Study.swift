import Compressor
import Observables

/// One field of a domain, and what is measured on it.
struct Study {
  let domain: String, field: String
  /// File and dataset; the file in the data folder, or a path.
  let file: String, dataset: String
  var axes: String?
  let codecs: [TransformCodec.Kind]
  let observables: [String]

  static let all: [Study] = [
    Study(domain: "3-D turbulence", field: "turb3d velocity", file: "turb3d_kolmogorov_64.h5", dataset: "velocity",
          codecs: [.lot16, .wavelet97], observables: ["box(size=16)", "box(size=8)", "vorticity", "divergence", "dissipation", "potential"]),
    Study(domain: "2-D turbulence", field: "turb2d vorticity", file: "turb2d_kolmogorov_256.h5", dataset: "vorticity",
          codecs: [.lot16, .lot8, .wavelet97], observables: ["box(size=16)", "gradient", "potential", "band(k=24:48)", "roi(64:160,64:160)"]),
    Study(domain: "hurricane", field: "wmag", file: "wmag_91.h5", dataset: "wmag",
          codecs: [.lot8, .wavelet97], observables: ["box(size=16)", "box(size=8)", "gradient", "roi(30:60,30:60,30:60)"]),
    Study(domain: "scattering", field: "sans2d intensity", file: "sans2d_detector.h5", dataset: "intensity", axes: "yx",
          codecs: [.lot8, .wavelet97], observables: ["radial", "box(size=16)", "gradient"]),
    Study(domain: "Taylor-Green", field: "taylorgreen velocity", file: "taylorgreen.h5", dataset: "velocity",
          codecs: [.lot16], observables: ["box(size=16)", "vorticity", "divergence", "enstrophy", "potential"]),
  ]
  /// PSNR of the unaligned codec, dB; and lambda^.
  static let fidelities = [60.0, 80, 100]
  static let weights = [0.25, 1, 4, 16]
  /// Draws of the quantisation noise that a number is averaged over, at most: fewer on large fields.
  static func draws(values: Int) -> Int { max(6, min(64, 6_000_000 / values)) }

  static func observable(_ text: String) throws -> any Observable {
    let catalogue = ObservableCatalogue(), s = try catalogue.parse(text)
    let parameters = Dictionary(uniqueKeysWithValues: s.arguments.compactMap { a in a.key.map { ($0, a.value) } })
    return try SpectralObservables.observable(named: s.name, parameters) ?? catalogue.observable(s)
  }
}
