"""A SavedModel has only operators that compute, and restores only its own variables."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from edgekit.errors import ModelError
from edgekit.readers import saved_model
from edgekit.readers.tensorflow_operators import COMPUTING

HOSTILE = [
    "ImmutableConst", "LoadAndRemapMatrix", "GenerateVocabRemapping", "FixedUnigramCandidateSampler", "RecordInput",
    "ReadFile", "WriteFile", "MatchingFiles", "Restore", "RestoreSlice", "Save", "SaveSlices", "DistributedSave",
    "CSVDataset", "CSVDatasetV2", "ExperimentalCSVDataset", "SqlDataset", "ExperimentalSqlDataset", "LMDBDataset",
    "ExperimentalLMDBDataset", "LMDBReader", "TFRecordReaderV2", "WholeFileReaderV2", "TextLineReaderV2",
    "FixedLengthRecordDatasetV2", "TextLineDataset", "TFRecordDatasetV2", "CacheDatasetV2", "SnapshotDatasetV2",
    "DatasetToTFRecord", "MatchingFilesDataset", "ListSnapshotChunksDataset", "LoadDataset", "SaveDatasetV2",
    "DataServiceDatasetV4", "InitializeTableFromTextFileV2", "InitializeTableFromDataset",
    "Print", "PrintV2", "PyFunc", "PyFuncStateless", "EagerPyFunc", "SummaryWriter", "CreateSummaryFileWriter",
    "CreateSummaryDbWriter", "WriteSummary", "WriteScalarSummary", "WriteGraphSummary", "ImportEvent",
    "DumpTensor", "CalibrationStatisticsSaver", "DebugIdentityV3", "DebugNanCount", "EncodeProto", "DecodeProtoV2",
    "FileSystemSetConfiguration", "RpcClient", "RpcCall", "RemoteCall", "_Send", "_Recv", "NcclAllReduce",
    "CollectiveReduceV2", "ConfigureDistributedTPU", "MlirPassthroughOp", "XlaCustomCallV2", "XlaCallModule",
    "Abort", "NoSuchOperator", "", "\x1b]0;title\x07",
]  # fmt: skip


def _field(number: int, data: bytes) -> bytes:
    size, head = len(data), bytes([number << 3 | 2])
    while size > 127:
        head, size = head + bytes([size & 127 | 128]), size >> 7
    return head + bytes([size]) + data


def _node(operator: str, name: str = "n", inputs: Sequence[str] = (), attributes: bytes = b"") -> bytes:
    ends = b"".join(_field(3, end.encode()) for end in inputs)
    return _field(1, name.encode()) + _field(2, operator.encode()) + ends + attributes


def _function(name: str, *nodes: bytes) -> bytes:
    return _field(1, _field(1, _field(1, name.encode())) + b"".join(_field(3, node) for node in nodes))


def _call(name: str, function: str, inputs: Sequence[str], operator: str = "StatefulPartitionedCall") -> bytes:
    value = _field(10, _field(1, function.encode()))
    return _node(operator, name, inputs, _field(5, _field(1, b"f") + _field(2, value)))


def _constant(name: str, text: str) -> bytes:
    tensor = b"\x08\x07" + _field(8, text.encode())
    return _node("Const", name, (), _field(5, _field(1, b"value") + _field(2, _field(8, tensor))))


def _saved(
    folder: Path, nodes: Sequence[bytes], functions: Sequence[bytes] = (), callable_: str = "", asset: str = ""
) -> Path:
    library = _field(2, b"".join(functions)) if functions else b""
    graph = b"".join(_field(1, node) for node in nodes) + library
    meta = _field(2, graph) + _field(5, _field(1, b"serving_default") + _field(2, b""))
    meta += _field(7, _field(2, _field(1, callable_.encode()))) if callable_ else b""
    meta += _field(6, _field(2, asset.encode())) if asset else b""
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(b"\x08\x01" + _field(2, meta))
    return folder


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("operator", HOSTILE)
def test_operators_that_do_more_than_compute_are_refused(tmp_path: Path, operator: str, nested: bool) -> None:
    node = _node(operator)
    folder = _saved(tmp_path / "m", [] if nested else [node], [_function("inner", node)] if nested else [])
    with pytest.raises(ModelError) as refused:
        saved_model.check(folder)
    message = str(refused.value)
    assert (operator if operator.isidentifier() else repr(operator)) in message and "\n" not in message
    assert message.isprintable()
    assert saved_model.check(folder, trust=True) == "serving_default"


def test_a_function_does_not_hide_an_operator_by_having_its_name(tmp_path: Path) -> None:
    folder = _saved(tmp_path / "m", [_node("ReadFile")], [_function("ReadFile", _node("Identity"))])
    with pytest.raises(ModelError, match="ReadFile"):
        saved_model.check(folder)
    folder = _saved(tmp_path / "called", [_node("my_function_1")], [_function("my_function_1", _node("Identity"))])
    assert saved_model.check(folder) == "serving_default"


RESTORE = _node("RestoreV2", "r", ["file_prefix", "names", "slices"])
INNER = _function("restore", RESTORE)
OWN = {
    "a placeholder": ([_node("Placeholder", "file_prefix"), RESTORE], []),
    "TensorFlow 1": (
        [
            _constant("model", "model"), _node("PlaceholderWithDefault", "name", ["model"]),
            _node("PlaceholderWithDefault", "file_prefix", ["name"]), RESTORE,
        ],
        [],
    ),
    "TensorFlow 2": (
        [_node("Placeholder", "s"), _node("VarHandleOp", "v"), _call("c", "restore", ["s", "v", "^s"])], [INNER],
    ),
}  # fmt: skip
OTHERS = {
    "a constant": ([_constant("file_prefix", "/home/u/other"), RESTORE], []),
    "a default": ([_constant("k", "/home/u/o"), _node("PlaceholderWithDefault", "file_prefix", ["k"]), RESTORE], []),
    "joined": ([_node("Placeholder", "p"), _node("StringJoin", "file_prefix", ["p", "p"]), RESTORE], []),
    "missing": ([RESTORE], []),
    "an argument": ([_constant("k", "/home/u/other"), _call("c", "restore", ["k"])], [INNER]),
    "an argument of an argument": (
        [_constant("k", "/home/u/other"), _call("c", "outer", ["k"])],
        [_function("outer", _call("c", "restore", ["x"])), INNER],
    ),
    "a constant in a function": ([], [_function("f", _constant("file_prefix", "/home/u/other"), RESTORE)]),
    "a loop": ([_node("Placeholder", "p"), _call("c", "restore", ["p"], "While")], [INNER]),
    "called by name": ([_constant("k", "/home/u/other"), _node("restore", "c", ["k"])], [INNER]),
}


@pytest.mark.parametrize("case", OWN)
def test_models_restore_their_own_variables(tmp_path: Path, case: str) -> None:
    assert saved_model.check(_saved(tmp_path / "m", *OWN[case])) == "serving_default"


@pytest.mark.parametrize("case", OTHERS)
def test_models_do_not_restore_from_other_checkpoints(tmp_path: Path, case: str) -> None:
    with pytest.raises(ModelError, match="other than its own, with RestoreV2"):
        saved_model.check(_saved(tmp_path / "m", *OTHERS[case]))


def test_a_function_that_restores_cannot_be_called_with_what_the_file_binds_to_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="in a function that can be called"):
        saved_model.check(_saved(tmp_path / "m", [], [INNER], callable_="restore"))


@pytest.mark.parametrize("asset", ["/etc/passwd", "../../secret", "a/../../../b"])
def test_assets_stay_in_their_folder(tmp_path: Path, asset: str) -> None:
    with pytest.raises(ModelError, match="asset whose name leads out"):
        saved_model.check(_saved(tmp_path / "m", [], asset=asset))
    assert saved_model.check(_saved(tmp_path / "plain", [], asset="words.txt"))


MAKE = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras, tensorflow as tf
from tensorflow.python.client import pywrap_tf_session
from tensorflow.core.framework import op_def_pb2
folder = sys.argv[1]
registered = op_def_pb2.OpList.FromString(pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList()))
print(*(op.name for op in registered.op))
layers = keras.layers
words = layers.IntegerLookup(vocabulary=[3, 5, 7], output_mode="multi_hot")
text = layers.TextVectorization(vocabulary=["a", "b"], output_sequence_length=4)
image, number, string = keras.Input((16, 16, 3)), keras.Input((1,), dtype="int64"), keras.Input((1,), dtype="string")
x = layers.Resizing(12, 12)(layers.RandomRotation(0.1)(layers.Rescaling(1 / 255)(image)))
x = layers.Conv2D(4, 3)(layers.CenterCrop(8, 8)(layers.RandomContrast(0.1)(layers.RandomZoom(0.1)(x))))
x = layers.GlobalMaxPooling2D()(layers.SpatialDropout2D(0.1)(layers.GaussianNoise(0.1)(x)))
t = layers.LSTM(3)(layers.Bidirectional(layers.GRU(2, return_sequences=True))(layers.Embedding(9, 4)(text(string))))
n = layers.CategoryEncoding(num_tokens=9)(layers.Hashing(num_bins=9)(number))
d = layers.Discretization(bin_boundaries=[0.0, 1.0])(layers.Normalization(mean=0.0, variance=1.0)(number))
keras.Model([image, number, string], [x, t, words(number), n, d]).export(folder + "/layers")

class Loops(tf.Module):
    def __init__(self):
        self.state = tf.Variable([1.0, 2.0])
        self.table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer([1, 2], [3, 4]), 0)

    @tf.function(input_signature=[tf.TensorSpec((2,), tf.float32)])
    def call(self, x):
        items = tf.TensorArray(tf.float32, 3)
        for k in tf.range(3):
            items = items.write(k, tf.reduce_sum(x) if tf.reduce_max(x) > 0 else tf.norm(x))
        tf.debugging.assert_equal(tf.shape(x)[0], 2)
        self.state.assign_add(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.nn.softmax(x * self.state)
        return {"y": items.stack(), "g": tape.gradient(y, x), "f": tf.abs(tf.signal.stft(tf.tile(x, [64]), 32, 16))}

module = Loops()
tf.saved_model.save(module, folder + "/loops", signatures=module.call)

v1 = tf.compat.v1
with tf.Graph().as_default(), v1.Session() as session:
    x = v1.placeholder(tf.float32, (None, 4))
    w = v1.get_variable("w", (4, 3), use_resource=False)
    y = tf.nn.relu(x @ w)
    v1.train.AdamOptimizer().minimize(tf.reduce_sum(y))
    v1.summary.scalar("s", tf.reduce_sum(y))
    session.run(v1.global_variables_initializer())
    v1.saved_model.simple_save(session, folder + "/old", {"x": x}, {"y": y})
"""


@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="TensorFlow is not installed")
def test_what_tensorflow_and_keras_write_passes(tmp_path: Path) -> None:
    (tmp_path / "make.py").write_text(MAKE)  # autograph reads its source
    command = [sys.executable, str(tmp_path / "make.py"), str(tmp_path)]
    made = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert made.returncode == 0, made.stderr[-2000:]
    registered = set(made.stdout.splitlines()[0].split())
    assert registered >= COMPUTING, sorted(COMPUTING - registered)
    for name in ("layers", "loops", "old"):
        assert saved_model.check(tmp_path / name) == "serving_default"
