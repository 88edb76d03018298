extension InterpolationModel {
  /// Fitted on fields no quoted figure uses: steps 0-3 of turb3d_kolmogorov_64, frames 1, 4, 8 of turb2d_kolmogorov_256, steps
  /// 0-1 of cosmo_density_64 (plain and log10), and synthetic shock, front, plume, smooth and noisy fields, each at seven rates
  /// from 50 to 110 dB; the constant is at least 1.
  ///
  /// Made by `ALIDADE_INTERPOLATION_TRAINING=<folder> swift test -c release -Xswiftc -enable-testing --filter InterpolationDefaultsFit`.
  public static let `default` = InterpolationModel(weights: [
    [27, 15, 36, 77, 0, 8, 5],
    [20, 9, 13, 23, 66, 0, 1],
    [9, 6, 6, 3, 105, 0, 2],
    [20, 8, 42, 77, 0, 31, 4],
    [17, 5, 20, 15, 66, 0, 1],
    [11, 9, 7, 2, 105, 0, 1],
    [13, 0, 42, 90, 0, 77, 9],
    [1, 11, 15, 9, 105, 0, 2],
    [15, 17, 0, 42, 105, 0, 1],
    [8, 8, 31, 77, 17, 142, 23],
    [4, 4, 15, 27, 122, 9, 1],
    [0, 0, 0, 77, 122, 0, 1],
    [57, 142, 90, 0, 0, 0, 255],
  ])
}
