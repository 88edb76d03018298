import Foundation

/// A double whose non-finite values are null in JSON; null reads as NaN.
@propertyWrapper public struct Number: Codable, Equatable, Sendable {
  public var wrappedValue: Double
  public init(wrappedValue: Double) { self.wrappedValue = wrappedValue }
  public init(from decoder: any Decoder) throws {
    let c = try decoder.singleValueContainer()
    wrappedValue = c.decodeNil() ? .nan : try c.decode(Double.self)
  }
  public func encode(to encoder: any Encoder) throws {
    var c = encoder.singleValueContainer()
    if wrappedValue.isFinite { try c.encode(wrappedValue) } else { try c.encodeNil() }
  }
  /// NaN equals NaN: both are "unknown".
  public static func == (a: Number, b: Number) -> Bool {
    a.wrappedValue == b.wrappedValue || !(a.wrappedValue.isFinite || b.wrappedValue.isFinite)
  }
}

/// As `Number`, for lists.
@propertyWrapper public struct Numbers: Codable, Equatable, Sendable {
  public var wrappedValue: [Double]
  public init(wrappedValue: [Double]) { self.wrappedValue = wrappedValue }
  public init(from decoder: any Decoder) throws {
    wrappedValue = try decoder.singleValueContainer().decode([Number].self).map(\.wrappedValue)
  }
  public func encode(to encoder: any Encoder) throws {
    var c = encoder.singleValueContainer()
    try c.encode(wrappedValue.map(Number.init))
  }
}

/// An optional that is written as null instead of being left out.
@propertyWrapper public struct OrNull<Value: Codable & Equatable & Sendable>: Codable, Equatable, Sendable {
  public var wrappedValue: Value?
  public init(wrappedValue: Value?) { self.wrappedValue = wrappedValue }
  public init(from decoder: any Decoder) throws {
    let c = try decoder.singleValueContainer()
    wrappedValue = c.decodeNil() ? nil : try c.decode(Value.self)
  }
  public func encode(to encoder: any Encoder) throws {
    var c = encoder.singleValueContainer()
    if let wrappedValue { try c.encode(wrappedValue) } else { try c.encodeNil() }
  }
}

extension FieldReport {
  enum CodingKeys: String, CodingKey {
    case name, step, time, shape, type, bound, granted, bias, ssim, totals, masked, transform, observables, aligned, restoration, temporal, learned, rmse, nrmse
    case rawBytes = "raw_bytes", storedBytes = "stored_bytes", storedParts = "stored_parts", validValues = "valid_values"
    case ratio, bitsPerValue = "bits_per_value", maxAbsError = "max_abs_error", psnrDB = "psnr_db"
    case kineticEnergy = "kinetic_energy"
    case errorHistogram = "error_histogram", errorAutocorrelation = "error_autocorrelation", boundKept = "bound_kept"
  }

  public init(from decoder: any Decoder) throws {
    let c = try decoder.container(keyedBy: CodingKeys.self)
    self.init(name: try c.decode(String.self, forKey: .name), step: try c.decode(Int.self, forKey: .step))
    time = try c.decode(Number.self, forKey: .time).wrappedValue
    shape = try c.decode([Int].self, forKey: .shape)
    type = try c.decode(String.self, forKey: .type)
    bound = try c.decode(OrNull<Bound>.self, forKey: .bound).wrappedValue
    granted = try c.decode(Number.self, forKey: .granted).wrappedValue
    rawBytes = try c.decode(Int.self, forKey: .rawBytes)
    storedParts = try c.decode(StoredParts.self, forKey: .storedParts)
    validValues = try c.decode(Int.self, forKey: .validValues)
    maxAbsError = try c.decode(Number.self, forKey: .maxAbsError).wrappedValue
    rmse = try c.decode(Number.self, forKey: .rmse).wrappedValue
    nrmse = try c.decode(Number.self, forKey: .nrmse).wrappedValue
    psnrDB = try c.decode(Number.self, forKey: .psnrDB).wrappedValue
    bias = try c.decode(Number.self, forKey: .bias).wrappedValue
    errorHistogram = try c.decode(Histogram.self, forKey: .errorHistogram)
    errorAutocorrelation = try c.decode(Autocorrelation.self, forKey: .errorAutocorrelation)
    ssim = try c.decode(Number.self, forKey: .ssim).wrappedValue
    totals = try c.decode([Total].self, forKey: .totals)
    kineticEnergy = try c.decodeIfPresent(OrNull<Total>.self, forKey: .kineticEnergy)?.wrappedValue
    boundKept = try c.decode(OrNull<Bool>.self, forKey: .boundKept).wrappedValue
    masked = try c.decode(Int.self, forKey: .masked)
    transform = try c.decode(String.self, forKey: .transform)
    observables = try c.decode([ObservableReport].self, forKey: .observables)
    aligned = try c.decodeIfPresent(OrNull<Aligned>.self, forKey: .aligned)?.wrappedValue
    restoration = try c.decodeIfPresent(OrNull<Restored>.self, forKey: .restoration)?.wrappedValue
    temporal = try c.decodeIfPresent(OrNull<Temporal>.self, forKey: .temporal)?.wrappedValue
    learned = try c.decodeIfPresent(Learned.self, forKey: .learned)
  }

  public func encode(to encoder: any Encoder) throws {
    var c = encoder.container(keyedBy: CodingKeys.self)
    try c.encode(name, forKey: .name)
    try c.encode(step, forKey: .step)
    try c.encode(Number(wrappedValue: time), forKey: .time)
    try c.encode(shape, forKey: .shape)
    try c.encode(type, forKey: .type)
    try c.encode(OrNull(wrappedValue: bound), forKey: .bound)
    try c.encode(Number(wrappedValue: granted), forKey: .granted)
    try c.encode(rawBytes, forKey: .rawBytes)
    try c.encode(storedBytes, forKey: .storedBytes)
    try c.encode(storedParts, forKey: .storedParts)
    try c.encode(validValues, forKey: .validValues)
    try c.encode(Number(wrappedValue: ratio), forKey: .ratio)
    try c.encode(Number(wrappedValue: bitsPerValue), forKey: .bitsPerValue)
    try c.encode(Number(wrappedValue: maxAbsError), forKey: .maxAbsError)
    try c.encode(Number(wrappedValue: rmse), forKey: .rmse)
    try c.encode(Number(wrappedValue: nrmse), forKey: .nrmse)
    try c.encode(Number(wrappedValue: psnrDB), forKey: .psnrDB)
    try c.encode(Number(wrappedValue: bias), forKey: .bias)
    try c.encode(errorHistogram, forKey: .errorHistogram)
    try c.encode(errorAutocorrelation, forKey: .errorAutocorrelation)
    try c.encode(Number(wrappedValue: ssim), forKey: .ssim)
    try c.encode(totals, forKey: .totals)
    try c.encode(OrNull(wrappedValue: kineticEnergy), forKey: .kineticEnergy)
    try c.encode(OrNull(wrappedValue: boundKept), forKey: .boundKept)
    try c.encode(masked, forKey: .masked)
    try c.encode(transform, forKey: .transform)
    try c.encode(observables, forKey: .observables)
    try c.encode(OrNull(wrappedValue: aligned), forKey: .aligned)
    try c.encode(OrNull(wrappedValue: restoration), forKey: .restoration)
    try c.encode(OrNull(wrappedValue: temporal), forKey: .temporal)
    try c.encodeIfPresent(learned, forKey: .learned)
  }
}

extension Report {
  /// Sorted keys, indented, shortest round-trip numbers, a newline at the end: equal reports give equal text.
  public func json() -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    // Encoding cannot fail: every double goes through `Number`.
    let data = try! encoder.encode(self)
    return String(decoding: data, as: UTF8.self) + "\n"
  }

  public init(json: String) throws {
    self = try JSONDecoder().decode(Report.self, from: Data(json.utf8))
  }
}
