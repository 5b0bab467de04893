"""Texts as a task's source: the tokens of a tokenizer that lies beside ``task.toml`` and travels in the bundle.

``firmware_stubs/linux/text_source.c`` is the same in C.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import UsageError
from edgekit.files import documents, plain_files
from edgekit.graph.lookup import vocabulary
from edgekit.tasks import fields
from edgekit.tasks.tokens import huggingface, tokenizer
from edgekit.tasks.tokens.encoder import Encoder
from edgekit.tasks.tokens.tokenizer import Tokenizer

if TYPE_CHECKING:
    from edgekit.graph import Graph, Tensor

FILE = "tokens.json"
"""In the bundle."""
MOST_LENGTH = 1 << 16
MOST_BYTES = 64 << 20
_KEYS = {"tokenizer", "inputs"}
_WHOLE = ("int32", "int64")


class Role(StrEnum):
    """What an input is."""

    IDS = "ids"
    """The tokens."""
    MASK = "mask"
    """1 where there is a token, 0 where there is only filling."""
    TYPES = "types"
    """Which of two texts a token belongs to: always the first."""


_HINTS = {Role.MASK: ("mask",), Role.TYPES: ("type", "segment"), Role.IDS: ("ids", "token", "word")}
"""By which part of its name an input is known; the first that fits."""


@dataclass(frozen=True)
class Text:
    """From a text to the network's inputs.

    :param inputs: what each of the network's inputs is.
    """

    NAME: ClassVar[str] = "text"

    tokenizer: Tokenizer
    inputs: tuple[Role, ...]

    @classmethod
    def of_table(cls, table: Mapping[str, Any], graph: Graph, folder: Path) -> Self:
        """Read ``[text]``."""
        fields.known(table, _KEYS, "text.")
        name = table.get("tokenizer", "tokenizer.json")
        if not isinstance(name, str):
            raise ValueError("text.tokenizer is not the name of a file")
        return cls(_tokenizer(folder, name), _roles(table.get("inputs"), graph))

    @classmethod
    def of_manifest(cls, given: Mapping[str, Any], folder: Path | None) -> Self:
        """Read what ``json`` and ``files`` wrote."""
        if folder is None:
            raise ValueError(f"{FILE} is missing")
        found = documents.loads(_content(folder, FILE), tokenizer.MOST_VALUES)
        return cls(tokenizer.of_json(found), tuple(Role(role) for role in given["inputs"]))

    def json(self) -> dict[str, Any]:
        """Its object in the manifest's ``task``."""
        return {"inputs": [str(role) for role in self.inputs]}

    def files(self) -> dict[str, bytes]:
        """What lies beside the manifest."""
        return {FILE: json.dumps(self.tokenizer.json(), ensure_ascii=False, separators=(",", ":")).encode()}

    def check(self, graph: Graph, kind: str, where: str) -> None:
        """Hold it against a network."""
        if len(self.inputs) != len(graph.inputs) or not all(map(_fits, self.inputs, graph.inputs)):
            shapes = ", ".join(f"{tensor.dtype} {list(tensor.shape)}" for tensor in graph.inputs)
            raise UsageError(
                f"{where}: {kind} takes a text, but the network's inputs are {shapes}",
                "it needs an input [1, length] of int32 or int64 for the tokens, and others of that shape for their "
                "mask and types",
            )
        length = graph.inputs[0].shape[1]
        around = len(self.tokenizer.before) + len(self.tokenizer.after)
        if any(tensor.shape[1] != length for tensor in graph.inputs) or not around < length <= MOST_LENGTH:
            raise UsageError(
                f"{where}: the network's inputs have no room for the same number of tokens, more than {around}"
            )
        rows = vocabulary(graph, graph.main.inputs[self.inputs.index(Role.IDS)], otherwise=self.tokenizer.size)
        if self.tokenizer.size > rows:
            raise UsageError(
                f"{where}: the tokenizer has {self.tokenizer.size} tokens, but the network knows {rows}",
                "pass the tokenizer that the network was trained with",
            )

    def values(self, texts: Sequence[str], tensors: Sequence[Tensor]) -> list[NDArray[Any]]:
        """The inputs for texts, ``[n, 1, length]`` each: int32 or int64, and real values of others.

        :raises ValueError: with what is wrong with a text, and its index as the second argument.
        """
        length = tensors[0].shape[1]
        encoder, rows = Encoder(self.tokenizer), []
        for number, text in enumerate(texts):
            try:
                rows.append(encoder.encode(text, length))
            except ValueError as error:
                raise ValueError(str(error), number) from error
        made = {
            Role.IDS: np.stack([row.ids for row in rows]), Role.MASK: np.stack([row.mask for row in rows]),
            Role.TYPES: np.zeros((len(rows), length), np.int32),
        }  # fmt: skip
        return [
            made[role][:, np.newaxis].astype(tensor.dtype if tensor.dtype in _WHOLE else np.float32)
            for role, tensor in zip(self.inputs, tensors, strict=True)
        ]


def _fits(role: Role, tensor: Tensor) -> bool:
    real = tensor.dtype == "float32" or (tensor.has_scale and tensor.dtype in ("int8", "uint8", "int16"))
    return (
        len(tensor.shape) == 2 and tensor.shape[0] == 1 and tensor.shape[1] > 0
        and (tensor.dtype in _WHOLE or (real and role is not Role.IDS))
    )  # fmt: skip


def _tokenizer(folder: Path, name: str) -> Tokenizer:
    """Read it from beside a task, which may be a stranger's: no other file becomes part of a bundle."""
    try:
        data = _content(folder, name)
    except (OSError, ValueError) as error:
        raise ValueError(f"text.tokenizer: {name!r} cannot be read: {error}") from error
    try:
        return huggingface.read(data)
    except ValueError as error:
        raise ValueError(f"text.tokenizer: {name!r}: {error}") from error


def _content(folder: Path, name: str) -> bytes:
    with plain_files.opened(folder, name) as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ValueError(f"it is larger than {MOST_BYTES >> 20} MiB")
    return data


def _roles(given: Any, graph: Graph) -> tuple[Role, ...]:
    """What each input is: as the task says, else by their names."""
    if given is not None:
        if not isinstance(given, list):
            raise ValueError('text.inputs is a list, such as ["ids", "mask"]')
        roles = [fields.choice(Role, one, "text.inputs") for one in given]
    elif len(graph.inputs) == 1:
        roles = [Role.IDS]
    else:
        names = {index: name for s in graph.signatures if s.subgraph == 0 for name, index in s.inputs.items()}
        called = [
            names.get(i, tensor.name).lower() for i, tensor in zip(graph.main.inputs, graph.inputs, strict=True)
        ]  # fmt: skip
        roles = [role for name in called for role in [_by_name(name)] if role]
    if len(roles) != len(graph.inputs) or len(set(roles)) < len(roles) or Role.IDS not in roles:
        raise ValueError(
            f"text.inputs must say what each of the network's {len(graph.inputs)} inputs is: "
            f"{', '.join(Role)}, one of them ids"
        )
    return tuple(roles)


def _by_name(name: str) -> Role | None:
    return next((role for role, hints in _HINTS.items() if any(hint in name for hint in hints)), None)
