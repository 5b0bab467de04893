package dev.edgekit.sample

import android.app.Activity
import android.os.Bundle
import android.widget.TextView
import kotlin.concurrent.thread

/** Runs the golden sample on the CPU and on the GPU, and shows how far each is from the reference, and how fast. */
class MainActivity : Activity() {
    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        val view = TextView(this)
        setContentView(view)
        thread {
            val lines = Delegate.entries.map { delegate ->
                try {
                    Network(this, delegate).use { it.check() }
                } catch (error: RuntimeException) { // what the delegate refuses, in its own words
                    "$delegate: ${error.message}"
                }
            }
            runOnUiThread { view.text = lines.joinToString("\n") }
        }
    }
}
