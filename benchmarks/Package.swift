// swift-tools-version:6.0
import PackageDescription

let package = Package(
  name: "alidade-benchmarks",
  dependencies: [.package(name: "alidade", path: "..")],
  targets: [
    .executableTarget(name: "alidade-bench", dependencies: [.product(name: "Alidade", package: "alidade")]),
    .executableTarget(name: "alidade-law", dependencies: [.product(name: "Alidade", package: "alidade")]),
  ],
  swiftLanguageModes: [.v6]
)
