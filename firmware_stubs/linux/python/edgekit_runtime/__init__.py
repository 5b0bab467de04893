"""Runs the networks of edgekit's bundles: a small layer over the C library ``libedgekit``.

    network = Network("model.edgekit")
    scores = network(image)

Needs numpy only; docs/runtime.md of edgekit is the manual.
"""

from __future__ import annotations

import ctypes
import os
import threading
from typing import Any, NamedTuple

import numpy as np

from edgekit_runtime import structures

__all__ = [
    "Anomaly",
    "Class",
    "Clip",
    "Detection",
    "Error",
    "Neighbour",
    "Network",
    "Spoken",
    "Tensor",
    "Transcript",
    "version",
]

_UNCHECKED = 1


class Error(RuntimeError):
    """What failed, in one line; ``status`` is a number of ``enum edgekit_status``."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Tensor(NamedTuple):
    """An input or output.

    Where ``scale`` is not 0, an element q stands for the real number ``scale * (q - zero_point)``.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    scale: float
    zero_point: int


class Class(NamedTuple):
    """A class that a network chose."""

    number: int
    label: str
    score: float


class Neighbour(NamedTuple):
    """A label of the gallery, and how near it is; ``known``: not below the task's threshold."""

    number: int
    label: str
    cosine: float
    known: bool


class Clip(NamedTuple):
    """What a network hears at once: ``length`` samples at ``rate`` per second, of a recording ``step`` apart, or 0."""

    rate: int
    length: int
    step: int


class Anomaly(NamedTuple):
    """How unusual a recording is, and whether that is above the task's threshold."""

    score: float
    anomalous: bool


class Spoken(NamedTuple):
    """A label that was spoken: its score, and when it begins, in seconds."""

    number: int
    label: str
    score: float
    start: float


class Transcript(NamedTuple):
    """What was said, as text and label by label."""

    text: str
    labels: list[Spoken]


class Detection(NamedTuple):
    """Something that was found: a box in the picture's pixels, the first of which reaches from 0 to 1."""

    number: int
    label: str
    score: float
    left: float
    top: float
    right: float
    bottom: float


def _load() -> ctypes.CDLL:
    """Load the library that lies beside this file, else the system's; ``EDGEKIT_LIBRARY`` names another."""
    own = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libedgekit.so.1")
    path = os.environ.get("EDGEKIT_LIBRARY") or (own if os.path.exists(own) else "libedgekit.so.1")
    library = ctypes.CDLL(path)
    instance, number, size = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_size_t
    for name, result, arguments in (
        ("version", ctypes.c_char_p, []),
        ("open", ctypes.c_int, [ctypes.c_char_p, ctypes.POINTER(structures.Options), ctypes.POINTER(instance)]),
        ("close", None, [instance]),
        ("input_count", number, [instance]),
        ("output_count", number, [instance]),
        ("input", ctypes.POINTER(structures.Tensor), [instance, number]),
        ("output", ctypes.POINTER(structures.Tensor), [instance, number]),
        ("input_data", ctypes.c_void_p, [instance, number]),
        ("output_data", ctypes.c_void_p, [instance, number]),
        ("set_input", ctypes.c_int, [instance, number, ctypes.c_void_p, size]),
        ("run", ctypes.c_int, [instance]),
        ("set_picture", ctypes.c_int, [instance, ctypes.POINTER(structures.Picture)]),
        ("set_row", ctypes.c_int, [instance, ctypes.POINTER(structures.Cell), number]),
        (
            "values",
            ctypes.c_int,
            [instance, ctypes.POINTER(ctypes.c_float), number, ctypes.POINTER(number), ctypes.POINTER(ctypes.c_char_p)],
        ),
        ("set_text", ctypes.c_int, [instance, ctypes.c_char_p, size]),
        ("classes", ctypes.c_int, [instance, ctypes.POINTER(structures.Class), number, ctypes.POINTER(number)]),
        ("detections", ctypes.c_int, [instance, ctypes.POINTER(structures.Detection), number, ctypes.POINTER(number)]),
        ("neighbours", ctypes.c_int, [instance, ctypes.POINTER(structures.Neighbour), number, ctypes.POINTER(number)]),
        ("embedding", ctypes.c_int, [instance, ctypes.POINTER(ctypes.c_float), number, ctypes.POINTER(number)]),
        ("mask", ctypes.c_int, [instance, ctypes.c_void_p, size]),
        ("mask_label", ctypes.c_char_p, [instance, number]),
        ("clips", ctypes.c_int, [instance, ctypes.POINTER(structures.Sound), ctypes.POINTER(number)]),
        ("clip", ctypes.c_int, [instance, ctypes.POINTER(structures.Clip)]),
        ("set_sound", ctypes.c_int, [instance, ctypes.POINTER(structures.Sound)]),
        ("anomaly", ctypes.c_int, [instance, ctypes.POINTER(structures.Anomaly)]),
        ("transcript", ctypes.c_int, [instance, ctypes.POINTER(structures.Transcript)]),
        ("task", ctypes.c_char_p, [instance]),
        ("restart", ctypes.c_int, [instance]),
        ("runtime", ctypes.c_char_p, [instance]),
        ("error", ctypes.c_char_p, [instance]),
    ):
        function = getattr(library, f"edgekit_{name}")
        function.restype, function.argtypes = result, arguments
    return library


_library = _load()


def version() -> str:
    """Version of the C library."""
    return _text(_library.edgekit_version())


class Network:
    """A network, ready to run. Threads may share it; they then take turns.

    :param bundle: a bundle's folder, or its ``.edgekit`` file. It holds code that runs in this process.
    :param threads: processor threads of an inference. :param checked: compare the files with their digests.
    :raises Error: if it cannot be opened.
    """

    def __init__(self, bundle: str | os.PathLike[str], threads: int = 1, checked: bool = True) -> None:
        self._instance: int | None = None
        self._lock = threading.RLock()
        options = structures.Options(ctypes.sizeof(structures.Options), threads, 0 if checked else _UNCHECKED)
        made = ctypes.c_void_p()
        status = _library.edgekit_open(os.fsencode(bundle), ctypes.byref(options), ctypes.byref(made))
        if status:
            raise Error(status, _text(_library.edgekit_error(None)))
        self._instance = made.value
        kinds = (("input", _library.edgekit_input_count), ("output", _library.edgekit_output_count))
        found = [[self._described(kind, i) for i in range(count(self._instance))] for kind, count in kinds]
        self.inputs: tuple[Tensor, ...] = tuple(tensor for tensor, _ in found[0])
        self.outputs: tuple[Tensor, ...] = tuple(tensor for tensor, _ in found[1])
        self._inputs = [view for _, view in found[0]]
        self._outputs = [view for _, view in found[1]]

    def _described(self, kind: str, number: int) -> tuple[Tensor, Any]:
        """A tensor, and its memory as an array."""
        t = getattr(_library, f"edgekit_{kind}")(self._instance, number).contents
        data = getattr(_library, f"edgekit_{kind}_data")(self._instance, number)
        dtype, shape = _text(t.dtype), tuple(t.shape[i] for i in range(t.rank))
        tensor = Tensor(_text(t.name), dtype, shape, t.scale, t.zero_point)
        memory = (ctypes.c_uint8 * t.bytes).from_address(data) if t.bytes else b""
        view = np.frombuffer(memory, np.uint8)
        return tensor, view.view(dtype).reshape(shape) if t.type else view

    def __call__(self, *inputs: Any) -> Any:
        """Run the network once.

        :param inputs: an array for each input, of its dtype and shape; the dimension of the batch may be missing.
        :returns: a new array, or a tuple of them if the network has several outputs.
        :raises Error: if an input does not fit, or the network fails.
        """
        with self._lock:
            if len(inputs) != len(self._inputs):
                raise Error(2, f"the network has {len(self._inputs)} inputs, not {len(inputs)}")
            for number, value in enumerate(inputs):
                self._set(number, np.asarray(value))
            self.run()
            made = tuple(view.copy() for view in self._outputs)
        return made[0] if len(made) == 1 else made

    def classify(self, sample: Any) -> list[Class]:
        """Classify a picture, a text or a row as the bundle's task says, or rank candidates for it.

        :param sample: a picture: bytes ``[height, width, 3]`` in RGB, or ``[height, width]`` in grey, of any size; a
            text: a ``str``; or a row: a list with a number or ``str`` for each of the task's columns.
        :returns: the classes with the highest scores, the best first.
        :raises Error: if the bundle has no task, or it takes no such sample.
        """
        with self._lock:
            self._meet(sample)
            return self._classes()

    def recognize(self, sample: Any, most: int = 100) -> list[Neighbour]:
        """Find what a sample is most like in the bundle's gallery.

        :param sample: as for ``classify``. :param most: at most as many.
        :returns: the nearest labels, the nearest first; if that is not ``known``, or there is none, the sample is
            unknown.
        :raises Error: if the bundle's task is not embedding, or it takes no such sample.
        """
        with self._lock:
            self._meet(sample)
            found, count = (structures.Neighbour * most)(), ctypes.c_uint32()
            self._check(_library.edgekit_neighbours(self._open(), found, most, ctypes.byref(count)))
            near = found[: count.value]
            return [Neighbour(one.number, _text(one.label), one.cosine, bool(one.known)) for one in near]

    def embed(self, sample: Any = None) -> np.ndarray:
        """Return a sample's vector at unit length, float32; zeros where it has no direction.

        :param sample: as for ``classify``; None: what the network was run on last.
        :raises Error: if the bundle's task is not embedding, or it takes no such sample.
        """
        with self._lock:
            if sample is not None:
                self._meet(sample)
            made, count = np.empty(int(np.prod(self.outputs[0].shape)), np.float32), ctypes.c_uint32()
            to = made.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
            self._check(_library.edgekit_embedding(self._open(), to, made.size, ctypes.byref(count)))
            return made

    def _meet(self, sample: Any) -> None:
        """Run the network on a picture, a text or a row."""
        if isinstance(sample, str):
            self._read(sample)
        elif isinstance(sample, (list, tuple)):
            self._take(sample)
        else:
            self._see(sample)

    def hear(self, samples: Any, rate: int, clip: int = 0) -> list[Class]:
        """Classify sound as the bundle's task says.

        :param samples: int16 or float32 ``[count]`` or ``[count, channels]``, ``rate`` per second.
        :param clip: which clip of the recording; there are several if the task has a ``step``.
        :returns: the classes with the highest scores, the best first.
        :raises Error: if the bundle's task is another, or it is no such sound.
        """
        with self._lock:
            sound, _kept = _sound(samples, rate)
            sound.clip = clip
            self._check(_library.edgekit_set_sound(self._open(), ctypes.byref(sound)))
            self.run()
            return self._classes()

    def anomaly(self, samples: Any, rate: int) -> Anomaly:
        """Tell how unusual a recording is: the mean over its clips.

        :param samples: as for ``hear``. :raises Error: if the bundle's task is another, or it is no such sound.
        """
        with self._lock:
            sound, _kept = _sound(samples, rate)
            count, made = ctypes.c_uint32(), structures.Anomaly(ctypes.sizeof(structures.Anomaly))
            self._check(_library.edgekit_clips(self._open(), ctypes.byref(sound), ctypes.byref(count)))
            for sound.clip in range(count.value):
                self._check(_library.edgekit_set_sound(self._open(), ctypes.byref(sound)))
                self.run()
                self._check(_library.edgekit_anomaly(self._open(), ctypes.byref(made)))
            return Anomaly(made.score, bool(made.anomalous))

    def transcribe(self, samples: Any, rate: int) -> Transcript:
        """Tell what was said in a recording, of whose clips each is heard.

        :param samples: as for ``hear``. :raises Error: if the bundle's task is another, or it is no such sound.
        """
        with self._lock:
            sound, _kept = _sound(samples, rate)
            count, parts = ctypes.c_uint32(), []
            self._check(_library.edgekit_clips(self._open(), ctypes.byref(sound), ctypes.byref(count)))
            for sound.clip in range(count.value):
                parts.append(self._transcribed(sound, sound.clip, sound.clip + 1 == count.value))
            return Transcript("".join(part.text for part in parts), [one for part in parts for one in part.labels])

    def follow(self, samples: Any, rate: int, number: int, last: bool = False) -> Transcript:
        """Tell what a clip adds to what was said before, as sound arrives.

        :param samples: the clip's, as for ``hear``; it begins ``number`` times ``clip.step`` after the first one.
        :param last: no clip follows. :raises Error: as ``transcribe``.
        """
        with self._lock:
            sound, _kept = _sound(samples, rate)
            return self._transcribed(sound, number, last)

    def _transcribed(self, sound: structures.Sound, number: int, last: bool) -> Transcript:
        self._check(_library.edgekit_set_sound(self._open(), ctypes.byref(sound)))
        self.run()
        part = structures.Transcript(ctypes.sizeof(structures.Transcript), number, last)
        self._check(_library.edgekit_transcript(self._open(), ctypes.byref(part)))
        labels = [Spoken(one.number, _text(one.label), one.score, one.start) for one in part.labels[: part.count]]
        return Transcript(_text(part.text), labels)

    @property
    def clip(self) -> Clip:
        """What the network hears at once.

        :raises Error: if the bundle's task takes no sound.
        """
        made = structures.Clip(ctypes.sizeof(structures.Clip))
        with self._lock:
            self._check(_library.edgekit_clip(self._open(), ctypes.byref(made)))
        return Clip(made.rate, made.length, made.step)

    def _classes(self) -> list[Class]:
        most = int(np.prod(self.outputs[0].shape))
        found, count = (structures.Class * most)(), ctypes.c_uint32()
        self._check(_library.edgekit_classes(self._open(), found, most, ctypes.byref(count)))
        return [Class(one.number, _text(one.label), one.score) for one in found[: count.value]]

    def detect(self, picture: Any, most: int = 1000) -> list[Detection]:
        """Find what is in a picture, as the bundle's task says.

        :param picture: as for ``classify``. :param most: at most as many.
        :returns: what was found, the highest score first.
        :raises Error: if the bundle's task is not detection, or it is no such picture.
        """
        with self._lock:
            self._see(picture)
            found, count = (structures.Detection * most)(), ctypes.c_uint32()
            self._check(_library.edgekit_detections(self._open(), found, most, ctypes.byref(count)))
            return [
                Detection(one.number, _text(one.label), one.score, one.left, one.top, one.right, one.bottom)
                for one in found[: count.value]
            ]

    @property
    def task(self) -> str | None:
        """What the bundle's task is, such as ``detection``; None if it has none."""
        with self._lock:
            found = _library.edgekit_task(self._open())
        return None if found is None else _text(found)

    def segment(self, picture: Any) -> np.ndarray:
        """Tell the class of each pixel of a picture, as the bundle's task says.

        :param picture: as for ``classify``.
        :returns: classes, uint8 ``[height, width]``; 255 where the network did not see the picture.
        :raises Error: if the bundle's task is not segmentation, or it is no such picture.
        """
        with self._lock:
            self._see(picture)
            mask = np.empty(np.shape(picture)[:2], np.uint8)
            self._check(_library.edgekit_mask(self._open(), mask.ctypes.data, mask.shape[1]))
            return mask

    def mask_label(self, number: int) -> str:
        """The name of a class in a mask.

        :raises Error: if there is none.
        """
        with self._lock:
            found = _library.edgekit_mask_label(self._open(), number)
        if found is None:
            raise Error(2, f"there is no class {number} in masks of this network")
        return _text(found)

    def _see(self, picture: Any) -> None:
        """Run the network on a picture."""
        array = np.asarray(picture)
        if array.dtype != np.uint8 or array.ndim not in (2, 3) or array.shape[2:] not in ((), (3,)):
            raise Error(2, f"a picture is uint8 [height, width, 3], not {array.dtype} {list(array.shape)}")
        array = np.ascontiguousarray(array)
        height, width = array.shape[:2]
        stride, kind = array.nbytes // max(height, 1), 1 if array.ndim == 3 else 3
        given = structures.Picture(ctypes.sizeof(structures.Picture), array.ctypes.data, width, height, stride, kind)
        self._check(_library.edgekit_set_picture(self._open(), ctypes.byref(given)))
        self.run()

    def _read(self, text: str) -> None:
        """Run the network on a text."""
        try:
            data = text.encode()
        except UnicodeEncodeError as error:
            raise Error(2, f"the text is no Unicode: {error}") from None
        self._check(_library.edgekit_set_text(self._open(), data, len(data)))
        self.run()

    def estimate(self, row: Any) -> list[float]:
        """Estimate values as the bundle's task says, in its unit.

        :param row: a list with a number or ``str`` for each of the task's columns.
        :raises Error: if the bundle's task is not regression, or a cell is wrong.
        """
        with self._lock:
            self._take(row)
            most = int(np.prod(self.outputs[0].shape))
            found, count = (ctypes.c_float * most)(), ctypes.c_uint32()
            self._check(_library.edgekit_values(self._open(), found, most, ctypes.byref(count), None))
            return list(found[: count.value])

    def _take(self, row: Any) -> None:
        """Run the network on a row."""
        cells = (structures.Cell * len(row))()
        for number, value in enumerate(row):
            if isinstance(value, str):
                cells[number].text = value.encode(errors="replace")
            else:
                cells[number].number = float(value)
        self._check(_library.edgekit_set_row(self._open(), cells, len(row)))
        self.run()

    def _set(self, number: int, array: Any) -> None:
        view, tensor = self.input(number), self.inputs[number]
        if array.dtype != view.dtype:
            raise Error(2, f"{tensor.name} has elements of type {view.dtype}, not {array.dtype}")
        if array.shape != view.shape and (1, *array.shape) != view.shape:
            raise Error(2, f"{tensor.name} has the shape {view.shape}, not {array.shape}")
        view[...] = array.reshape(view.shape)

    def input(self, number: int = 0) -> Any:
        """The memory from which the network reads an input, to be written to; not to be used after ``close``."""
        self._open()
        return self._inputs[number]

    def output(self, number: int = 0) -> Any:
        """The memory to which the network writes an output; not to be used after ``close``."""
        self._open()
        return self._outputs[number]

    def run(self) -> None:
        """Run the network on what its inputs hold."""
        with self._lock:
            self._check(_library.edgekit_run(self._open()))

    def restart(self) -> None:
        """Forget what earlier inferences left in a network with state."""
        with self._lock:
            self._check(_library.edgekit_restart(self._open()))

    @property
    def runtime(self) -> str:
        """What executes the network."""
        return _text(_library.edgekit_runtime(self._open()))

    def close(self) -> None:
        """Give everything back; a network that is no longer referenced is closed, too."""
        with self._lock:
            instance, self._instance = self._instance, None
            if instance is not None:
                _library.edgekit_close(instance)

    def _open(self) -> int:
        if self._instance is None:
            raise Error(2, "the network is closed")
        return self._instance

    def _check(self, status: int) -> None:
        if status:
            raise Error(status, _text(_library.edgekit_error(self._open())))

    def __enter__(self) -> Network:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_instance", None) is not None:
            self.close()


def _sound(samples: Any, rate: int) -> tuple[structures.Sound, Any]:
    """A recording for the C library, and the array that must be kept meanwhile."""
    array = np.ascontiguousarray(samples)
    if array.dtype not in (np.int16, np.float32) or array.ndim not in (1, 2):
        raise Error(2, f"sound is int16 or float32 [count] or [count, channels], not {array.dtype} {list(array.shape)}")
    channels, kind = (array.shape[1] if array.ndim == 2 else 1), 1 if array.dtype == np.int16 else 2
    return structures.Sound(
        ctypes.sizeof(structures.Sound), array.ctypes.data, len(array), rate, channels, kind, 0
    ), array


def _text(value: bytes | None) -> str:
    return (value or b"").decode(errors="replace")
