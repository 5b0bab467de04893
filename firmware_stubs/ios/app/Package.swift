// swift-tools-version:5.9
import PackageDescription

let package = Package(
    name: "EdgekitNetwork",
    platforms: [.iOS(.v@IOS@), .macOS(.v@MACOS@)],
    products: [.library(name: "EdgekitNetwork", targets: ["EdgekitNetwork"])],
    targets: [
        .target(name: "EdgekitNetwork", resources: [.copy("Resources")]),
        .executableTarget(name: "sample", dependencies: ["EdgekitNetwork"]),
    ]
)
