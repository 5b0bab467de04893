package dev.edgekit.sample

import android.content.Context
import android.os.SystemClock
import java.io.FileInputStream
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.nio.channels.FileChannel
import kotlin.math.abs
import org.tensorflow.lite.Interpreter
import org.tensorflow.lite.gpu.GpuDelegate

enum class Delegate { CPU, GPU }

/** The network in LiteRT. Buffers hold raw little-endian tensors; Tensors.kt says their types and shapes. */
class Network(private val context: Context, private val delegate: Delegate) : AutoCloseable {
    private val gpu = if (delegate == Delegate.GPU) GpuDelegate() else null
    private val interpreter = Interpreter(model(), options())

    private fun options() = Interpreter.Options().apply {
        if (gpu != null) addDelegate(gpu) else setUseXNNPACK(true)
    }

    private fun model(): ByteBuffer = context.assets.openFd(Tensors.MODEL).use { file ->
        FileInputStream(file.fileDescriptor).channel.map(
            FileChannel.MapMode.READ_ONLY, file.startOffset, file.declaredLength)
    }

    /** Run the inputs and return one buffer for each output. */
    fun run(inputs: List<ByteBuffer>): List<ByteBuffer> {
        val outputs = Tensors.OUTPUTS.map { buffer(it.bytes) }
        interpreter.runForMultipleInputsOutputs(
            inputs.onEach { it.rewind() }.toTypedArray(), outputs.withIndex().associate { it.index to it.value as Any })
        return outputs.onEach { it.rewind() }
    }

    /** One line: the largest difference from the reference's outputs, and the median of some runs. */
    fun check(repeat: Int = 50): String {
        val inputs = read("input.bin", Tensors.INPUTS)
        val wanted = read("output.bin", Tensors.OUTPUTS)
        val outputs = run(inputs)
        val worst = Tensors.OUTPUTS.indices.maxOf { difference(Tensors.OUTPUTS[it], outputs[it], wanted[it]) }
        val times = List(repeat) {
            val start = SystemClock.elapsedRealtimeNanos()
            run(inputs)
            (SystemClock.elapsedRealtimeNanos() - start) / 1e6
        }
        return "%s: largest difference %.4g, median %.3f ms".format(delegate, worst, times.sorted()[repeat / 2])
    }

    private fun read(name: String, tensors: List<Tensor>): List<ByteBuffer> {
        val bytes = context.assets.open(name).use { it.readBytes() }
        var at = 0
        return tensors.map { tensor ->
            buffer(tensor.bytes).apply { put(bytes, at, tensor.bytes) }.also { at += tensor.bytes }
        }
    }

    private fun difference(tensor: Tensor, found: ByteBuffer, wanted: ByteBuffer): Double {
        wanted.rewind()
        val step = tensor.bytes / tensor.elements
        return (0 until tensor.elements).maxOf { i ->
            when (tensor.dtype) {
                "float32" -> abs(found.getFloat(i * step) - wanted.getFloat(i * step)).toDouble()
                "uint8" -> abs((found.get(i).toInt() and 255) - (wanted.get(i).toInt() and 255)).toDouble()
                "int8" -> abs(found.get(i) - wanted.get(i)).toDouble()
                else -> if ((0 until step).all { found.get(i * step + it) == wanted.get(i * step + it) }) 0.0 else 1.0
            }
        }
    }

    private fun buffer(bytes: Int) = ByteBuffer.allocateDirect(bytes).order(ByteOrder.nativeOrder())

    override fun close() {
        interpreter.close()
        gpu?.close()
    }
}
