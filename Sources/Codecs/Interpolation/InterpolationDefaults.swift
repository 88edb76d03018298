extension InterpolationModel {
  /// Placeholder until fitted.
  public static let `default` = InterpolationModel(weights: .init(repeating: [20, 20, 20, 10, 30, 3, 2], count: groups))
}
