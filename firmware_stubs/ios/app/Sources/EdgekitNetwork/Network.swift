import CoreML
import Foundation

/// The network: loads the package, runs it. Copy this file, Tensors.swift and the package into your own app.
public final class Network {
    private let model: MLModel

    /// - Parameter units: which processors Core ML may use; what it uses of them is its own choice.
    public init(units: MLComputeUnits = .all) throws {
        guard let folder = Bundle.module.url(forResource: "Resources", withExtension: nil) else {
            throw CocoaError(.fileNoSuchFile)
        }
        let configuration = MLModelConfiguration()
        configuration.computeUnits = units
        let compiled = try MLModel.compileModel(at: folder.appendingPathComponent(Tensors.package))
        model = try MLModel(contentsOf: compiled, configuration: configuration)
    }

    /// Runs it once.
    /// - Parameter inputs: one array for each of `Tensors.inputs`, its values in row-major order.
    /// - Returns: one array for each of `Tensors.outputs`.
    public func run(_ inputs: [[Float]]) throws -> [[Float]] {
        precondition(inputs.count == Tensors.inputs.count)
        var features: [String: MLFeatureValue] = [:]
        for (tensor, values) in zip(Tensors.inputs, inputs) {
            precondition(values.count == tensor.elements, "\(tensor.name) takes \(tensor.elements) values")
            let array = try MLMultiArray(shape: tensor.shape.map { NSNumber(value: $0) }, dataType: tensor.type)
            for (index, value) in values.enumerated() {
                array[index] = NSNumber(value: value)
            }
            features[tensor.name] = MLFeatureValue(multiArray: array)
        }
        let result = try model.prediction(from: MLDictionaryFeatureProvider(dictionary: features))
        return try Tensors.outputs.map { tensor in
            guard let array = result.featureValue(for: tensor.name)?.multiArrayValue else {
                throw CocoaError(.coderValueNotFound)
            }
            return (0..<array.count).map { array[$0].floatValue }
        }
    }

    /// A file of float32 values beside the package: the golden sample.
    public static func floats(_ name: String) throws -> [Float] {
        guard let folder = Bundle.module.url(forResource: "Resources", withExtension: nil) else {
            throw CocoaError(.fileNoSuchFile)
        }
        let data = try Data(contentsOf: folder.appendingPathComponent(name))
        return data.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
    }
}
