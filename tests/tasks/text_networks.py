"""A network of tokens: the mean of a row of a table for each token, over those that are none of the filling."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from edgekit.graph import Graph, tflite
from tests.installed import needed
from tests.networks.small import Builder
from tests.tasks import tokenizer_files

LENGTH = 12


def averaging(
    rows: int, classes: int = 3, mask: str | None = "int32", ids: str = "int32", length: int = LENGTH
) -> Graph:
    """``[1, length]`` of tokens, and their mask -> ``[1, classes]``; random weights.

    :param mask: its dtype; None: there is no mask.
    """
    b = Builder()
    tokens = b.tensor((1, length), ids, name="input_ids")
    table = b.constant(np.random.default_rng(0).normal(size=(rows, classes)).astype(np.float32))
    found = b.add("GATHER", (table, tokens), (1, length, classes), options="Gather")
    inputs = (tokens,)
    if mask is not None:
        given = b.tensor((1, length), mask, name="attention_mask")
        inputs = (tokens, given)
        if mask != "float32":
            given = b.add("CAST", (given,), (1, length), options="Cast", inDataType=2, outDataType=0)
        shape = b.constant(np.array([1, length, 1], np.int32))
        wide = b.add("RESHAPE", (given, shape), (1, length, 1), options="Reshape", newShape=[1, length, 1])
        found = b.add("MUL", (found, wide), (1, length, classes), options="Mul")
    axes = b.constant(np.array([1], np.int32))
    return b.graph(inputs, (b.add("SUM", (found, axes), (1, classes), options="Reducer"),))


def written(folder: Path) -> Path:
    """A model file with its task and BERT's tokenizer beside it; skips where the package ``tokenizers`` is missing."""
    needed("tokenizers", "dev")
    document = tokenizer_files.bert()
    tflite.write(averaging(len(document["model"]["vocab"])), folder / "model.tflite")
    (folder / "tokenizer.json").write_text(json.dumps(document))
    (folder / "task.toml").write_text('schema = 1\ntask = "text-classification"\n[text]\n')
    return folder / "model.tflite"
