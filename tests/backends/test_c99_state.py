"""Networks with state in C: frame by frame LiteRT's bits, in outputs and in what variables keep."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import interpreter as litert

from edgekit.backends import c99
from edgekit.codegen.lower import lower
from edgekit.codegen.schedule.mcu import memory
from edgekit.codegen.schedule.mcu.streams import streamed
from edgekit.graph import tflite
from tests.backends import c99_networks
from tests.codegen.frames import noise
from tests.codegen.interpreter import Interpreter

WAKE_WORDS = ("alexa", "hey_jarvis", "hey_mycroft", "okay_nabu")
FRAMES, WITH_STATE = 1000, 40


@pytest.mark.slow
@pytest.mark.parametrize("name", WAKE_WORDS)
def test_streaming_wake_words(name: str, tmp_path: Path) -> None:
    """In the arena that the product plans: 1,000 frames of outputs, and the variables of the first."""
    found = importlib.util.find_spec("pymicro_wakeword")
    if found is None or found.origin is None:
        pytest.skip("pymicro-wakeword is not installed")
    graph = tflite.read(Path(found.origin).parent / "models" / f"{name}.tflite")
    program = streamed(c99_networks.scheduled(graph))
    network = c99_networks.compiled(program, tmp_path, memory.plan(program))
    plain = litert.Interpreter(
        model_content=tflite.dumps(graph), experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF
    )
    plain.allocate_tensors()
    (source,), (result,) = plain.get_input_details(), plain.get_output_details()
    own = Interpreter(lower(graph, c99.SCOPE))
    variables = [one.tensor for one in own.network.variables]
    frames = list(noise(graph, FRAMES))
    for number, (frame, outputs) in enumerate(zip(frames, network.frames(frames), strict=True)):
        plain.set_tensor(source["index"], frame[0])
        plain.invoke()
        np.testing.assert_array_equal(outputs[0], plain.get_tensor(result["index"]).reshape(outputs[0].shape))
        if number < WITH_STATE:
            own.run(frame)
            kept = network.variables()
            assert len(kept) == len(variables) > 0
            for index, values in zip(variables, kept, strict=True):
                np.testing.assert_array_equal(values, own.values[index].reshape(-1).view(np.uint8), f"frame {number}")
