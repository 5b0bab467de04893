import CoreML
import SwiftUI

/// Runs the golden sample on each choice of processors; shows the difference from the reference and the latency.
public struct SampleView: View {
    @State private var lines: [String] = []

    public init() {}

    public var body: some View {
        List(lines, id: \.self) { Text($0).font(.body.monospaced()) }
            .task { lines = await Task.detached { Sample.report() }.value }
    }
}

public enum Sample {
    static let units: [(String, MLComputeUnits)] = [
        ("CPU", .cpuOnly), ("CPU and GPU", .cpuAndGPU), ("CPU and Neural Engine", .cpuAndNeuralEngine), ("all", .all),
    ]

    public static func report() -> [String] {
        units.map { name, units in
            do {
                return "\(name): \(try measured(units))"
            } catch {
                return "\(name): \(error.localizedDescription)"
            }
        }
    }

    private static func measured(_ units: MLComputeUnits) throws -> String {
        let network = try Network(units: units)
        let inputs = try Tensors.inputs.indices.map { try Network.floats("input\($0).bin") }
        var far: Float = 0
        for (index, found) in try network.run(inputs).enumerated() {
            let wanted = try Network.floats("output\(index).bin")
            let largest = max(wanted.map(abs).max() ?? 0, 1e-6)
            far = max(far, zip(found, wanted).map { ($0 - $1).isNaN ? .infinity : abs($0 - $1) / largest }.max() ?? 0)
        }
        var times: [Double] = []
        for _ in 0..<50 {
            let start = DispatchTime.now().uptimeNanoseconds
            _ = try network.run(inputs)
            times.append(Double(DispatchTime.now().uptimeNanoseconds - start) / 1e6)
        }
        let median = times.sorted()[times.count / 2]
        return String(format: "%.3f ms, within %.2g of the reference", median, far)
    }
}
