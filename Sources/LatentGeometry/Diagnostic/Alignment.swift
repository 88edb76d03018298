import Statistics

/// What keeping an observable costs, for the report: the law's numbers, the overlap as companion, and a sentence.
///
/// - Source: Segui, Armour (2026), arXiv:2606.03279, for the question; the formulas are those of `TradeSpectrum`.
public struct Alignment: Equatable, Sendable {
  /// The observable's name.
  public let observable: String
  /// omega_k with its interval; nil where it was not computed. `overlapVerdict` says whether it means anything.
  public let overlap: Interval?
  public let overlapRank: Int?, overlapChance: Double?, overlapVerdict: Overlap.Verdict?
  /// CV^2 of the eigenvalues a.
  public let relativeVariance: Interval
  /// 10 log10 AM(a)/GM(a); infinite where latents exist that the observable does not feel.
  public let maximumGain: Interval
  /// dB of distortion lost, dB of the observable won and bits per latent at lambda^ = 1 and a fixed rate.
  public let cost: Interval, gain: Interval, rateCost: Interval
  /// Price of P ten times smaller (10 dB of mean square error); nil where the largest gain is less.
  public let tenfold: Price?
  /// GM(a)/AM(a); 1: isotropic.
  public let flatness: Double
  /// AM/GM of the noise in the distortion's metric: above the cost's ratio, shaping improves both. 1 for equal steps of an orthonormal transform.
  public let slack: Double
  public struct Price: Equatable, Sendable {
    /// lambda^ that reaches it.
    public let weight: Double
    /// dB of distortion at the same rate, or bits per latent at the same distortion.
    public let cost: Double, rateCost: Double
  }
  /// The forms of the law side by side, and what no code can escape.
  public let forms: Forms

  /// One form of the law: the largest gain in dB, and at lambda^ = 1 and a fixed rate dB of D lost, dB of P won, bits per latent that buy D back.
  public struct Law: Equatable, Sendable {
    public let maximumGain: Interval, cost: Interval, gain: Interval, rateCost: Interval
  }
  public struct Forms: Equatable, Sendable {
    /// A: high resolution, all latents active.
    public let high: Law
    /// B and C: soft and hard water-filling; nil without variances.
    public let soft: Law?, hard: Law?
    /// A for small trades: dB of D per squared dB of P.
    public let curvature: Interval
    /// Minkowski's bound at lambda^ = 1 and high resolution, as a share of D(0) and in dB: `TradeSpectrum.simultaneousDefect`, `.simultaneousBound`.
    public let defect: Interval, bound: Interval
  }

  /// From a band spectrum; intervals from independent estimates of it, at least two.
  public init(observable: String, bands: BandSpectrum, rate: BandSpectrum.Rate = .high, samples: BandSamples = BandSamples(), slack: Double = 1,
              overlap: (Overlap, Interval)? = nil, bootstrap: Bootstrap = Bootstrap(seed: 1)) throws {
    let soft = bands.soft(rate), layers: [BandSpectrum.Rate] = rate == .high ? [.high] : [.high, soft, rate]
    func numbers(_ b: BandSpectrum) -> [Double] {
      let s = b.spectrum, unit = s.weight(normalised: 1)
      return [s.relativeVariance, s.curvature, s.simultaneousDefect(unit), s.simultaneousBound(unit)] + layers.flatMap { r in
        let p = b.prediction(weight: unit, rate: r)
        return [b.maximumGain(rate: r), p.cost, p.gain, p.rateCost]
      }
    }
    let best = numbers(bands)
    var intervals = best.map { Interval($0) }
    if samples.number > 1 {
      let spread = try bootstrap.intervals(samples.units, reducer: SoleReducer()) { numbers(samples.resampled($0, bands)) }
      intervals = zip(best, spread).map { Interval(value: $0, lower: min($0, $1.lower), upper: max($0, $1.upper)) }
    }
    let price = bands.weight(gain: 10, rate: rate).map { w in
      let p = bands.prediction(weight: w, rate: rate)
      return Price(weight: bands.spectrum.normalised(weight: w), cost: p.cost, rateCost: p.rateCost)
    }
    self.init(observable: observable, intervals: intervals, tenfold: price, flatness: bands.spectrum.flatness, slack: slack, overlap: overlap)
  }

  /// From a pooled spectrum: one sample per probe or tile.
  public init(observable: String, samples: [TradeSpectrum], slack: Double = 1, overlap: (Overlap, Interval)? = nil,
              bootstrap: Bootstrap = Bootstrap(seed: 1)) throws {
    func numbers(_ s: TradeSpectrum) -> [Double] {
      let w = s.weight(normalised: 1)
      return [s.relativeVariance, s.curvature, s.simultaneousDefect(w), s.simultaneousBound(w), decibels(ln: s.logMaximumGain), s.cost(w), s.gain(w), s.rateCost(w)]
    }
    let whole = TradeSpectrum(pooling: samples)
    var intervals = numbers(whole).map { Interval($0) }
    if samples.count > 1 {
      // A replica's weights of the samples; the spectrum itself is taken up again here.
      let units = Dictionary(uniqueKeysWithValues: samples.indices.map { i in (i, samples.indices.map { $0 == i ? 1.0 : 0 }) })
      intervals = try bootstrap.intervals(units, reducer: SoleReducer()) { w in
        numbers(TradeSpectrum(samples.flatMap(\.values), weights: zip(samples, w).flatMap { s, w in s.weights.map { w * $0 } }))
      }
    }
    let price = whole.weight(gain: 10).map { Price(weight: whole.normalised(weight: $0), cost: whole.cost($0), rateCost: whole.rateCost($0)) }
    self.init(observable: observable, intervals: intervals, tenfold: price, flatness: whole.flatness, slack: slack, overlap: overlap)
  }

  /// - Parameter intervals: CV^2, curvature, defect, bound, then four numbers for each form of the law, A or A, B, C; the last is the one that is told.
  private init(observable: String, intervals: [Interval], tenfold: Price?, flatness: Double, slack: Double, overlap: (Overlap, Interval)?) {
    self.observable = observable
    let laws = stride(from: 4, to: intervals.count, by: 4).map {
      Law(maximumGain: intervals[$0], cost: intervals[$0 + 1], gain: intervals[$0 + 2], rateCost: intervals[$0 + 3])
    }
    let told = laws.last!
    relativeVariance = intervals[0]
    maximumGain = told.maximumGain; cost = told.cost; gain = told.gain; rateCost = told.rateCost
    forms = Forms(high: laws[0], soft: laws.count > 1 ? laws[1] : nil, hard: laws.count > 1 ? laws[2] : nil,
                  curvature: intervals[1], defect: intervals[2], bound: intervals[3])
    self.tenfold = tenfold; self.flatness = flatness; self.slack = slack
    self.overlap = overlap?.1; overlapRank = overlap?.0.rank; overlapChance = overlap?.0.chance; overlapVerdict = overlap?.0.verdict
  }

  /// What to do, in one or two sentences.
  public var verdict: String {
    func text(_ v: Double, _ digits: Int) -> String {
      let scale = [1.0, 10, 100, 1000, 10000][digits], n = (v * scale).rounded()
      guard n.isFinite, abs(n) < 1e15 else { return "\(v)" }
      let whole = Int(abs(n)), unit = Int(scale), tail = String(whole % unit + unit).dropFirst()
      return (n < 0 ? "-" : "") + "\(whole / unit)" + (digits > 0 ? "." + tail : "")
    }
    var lines: [String] = []
    if maximumGain.value < 0.02 {
      lines.append("\(observable) is kept as well as this rate allows: nothing to gain by weighting it")
    } else if let t = tenfold {
      lines.append("keeping \(observable) 10x better (mean square error) costs \(text(t.cost, 2)) dB of PSNR or \(text(t.rateCost, 3)) bits/value")
    } else {
      lines.append("\(observable) cannot gain more than \(text(maximumGain.value, 1)) dB at this rate; weight 1 gains \(text(gain.value, 2)) dB for \(text(cost.value, 2)) dB of PSNR")
    }
    if slack > 1 && decibels(ln: ln(slack)) > cost.value + 0.005 {
      lines.append("the present steps waste \(text(decibels(ln: ln(slack)), 2)) dB: weight 1 improves both")
    }
    switch overlapVerdict {
    case .undefinedFlat: lines.append("overlap undefined (flat), use CV^2 = \(text(relativeVariance.value, 3))")
    case .undefinedGap: lines.append("overlap undefined (gap), use CV^2 = \(text(relativeVariance.value, 3))")
    case .defined, nil: break
    }
    return lines.joined(separator: "; ")
  }
}
