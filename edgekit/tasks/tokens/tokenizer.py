"""A tokenizer as edgekit keeps it: typed, and as the JSON that a bundle holds and ``tokens.c`` reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from edgekit.tasks import fields

SCHEMA = 1
MOST_TOKENS = 1 << 20
MOST_TOKEN_BYTES = 400
MOST_SPECIAL = 1000
MOST_AROUND = 64
LONGEST_WORD = 1000
MOST_PAIRS = 600_000
MOST_VALUES = 3 * MOST_PAIRS + MOST_TOKENS
"""In the JSON."""


@dataclass(frozen=True)
class Special:
    """A token that stands in the text itself, such as ``[MASK]``.

    :param strips: it takes the white space before it along.
    """

    content: str
    id: int
    strips: bool


@dataclass(frozen=True)
class WordPiece:
    """BERT's words, cut into the longest pieces that the vocabulary has, from left to right.

    :param clean: control characters are removed. :param chinese: ideographs are words. :param accents: accents are
        removed. :param lower: letters become small ones.
    :param prefix: of pieces that continue a word. :param longest: characters of a word; longer ones are unknown.
    :param unknown: the token of words that cannot be cut into pieces.
    :param vocabulary: by their number; None where there is none.
    """

    name: ClassVar[str] = "wordpiece"
    clean: bool
    chinese: bool
    accents: bool
    lower: bool
    prefix: str
    longest: int
    unknown: int
    vocabulary: tuple[str | None, ...]

    @property
    def size(self) -> int:
        """Numbers of tokens are below it."""
        return len(self.vocabulary)

    def json(self) -> dict[str, Any]:
        """Its part of the JSON."""
        return {
            "clean": self.clean, "chinese": self.chinese, "accents": self.accents, "lower": self.lower,
            "prefix": self.prefix, "longest": self.longest, "unknown": self.unknown,
            "vocabulary": list(self.vocabulary),
        }  # fmt: skip

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> WordPiece:
        """Read that; ValueError, KeyError or TypeError if it is damaged."""
        words = given["vocabulary"]
        if not isinstance(words, list) or not 0 < len(words) <= MOST_TOKENS:
            raise ValueError("the vocabulary is missing or too large")
        kept = [word for word in words if word is not None]
        for word in kept:
            token(word)
        if len(set(kept)) < len(kept):
            raise ValueError("the vocabulary has a token twice")
        clean, chinese, accents, lower = (
            fields.flag(given[key], key) for key in ("clean", "chinese", "accents", "lower")
        )
        return cls(
            clean, chinese, accents, lower, token(given["prefix"], 0),
            fields.whole(given["longest"], LONGEST_WORD, "longest", 1),
            fields.whole(given["unknown"], len(words) - 1, "unknown"), tuple(words),
        )  # fmt: skip


@dataclass(frozen=True)
class BytePairs:
    """GPT-2's words, cut into bytes, of which pairs are joined: at each step the one that was learned first.

    :param space: a text that does not begin with white space gets a space before it.
    :param bytes: the token of each byte. :param pairs: two tokens, and the one that they become, in the order in which
        they were learned. :param size: numbers of tokens are below it.
    """

    name: ClassVar[str] = "bytes"
    space: bool
    bytes: tuple[int, ...]
    pairs: tuple[tuple[int, int, int], ...]
    size: int

    def json(self) -> dict[str, Any]:
        """Its part of the JSON: ``pairs`` without brackets, three numbers each."""
        flat = [number for pair in self.pairs for number in pair]
        return {"space": self.space, "bytes": list(self.bytes), "size": self.size, "pairs": flat}

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> BytePairs:
        """Read that; ValueError, KeyError or TypeError if it is damaged."""
        size = fields.whole(given["size"], MOST_TOKENS, "size", 1)
        single, flat = given["bytes"], given["pairs"]
        if not isinstance(single, list) or len(single) != 256:
            raise ValueError("bytes are not 256 numbers")
        if not isinstance(flat, list) or len(flat) % 3 or len(flat) > 3 * MOST_PAIRS:
            raise ValueError("pairs are not three numbers each, or too many")
        for number in (*single, *flat):
            fields.whole(number, size - 1, "token")
        pairs = tuple(zip(flat[::3], flat[1::3], flat[2::3], strict=True))
        if len({pair[:2] for pair in pairs}) < len(pairs):
            raise ValueError("there is a pair twice")
        return cls(fields.flag(given["space"], "space"), tuple(single), pairs, size)


@dataclass(frozen=True)
class Tokenizer:
    """From a text to tokens.

    :param before, after: tokens around each text, such as ``[CLS]`` and ``[SEP]``.
    :param pad: the token that fills what a text leaves. :param special: tokens that stand in texts themselves.
    """

    model: WordPiece | BytePairs
    before: tuple[int, ...]
    after: tuple[int, ...]
    pad: int
    special: tuple[Special, ...]

    @property
    def size(self) -> int:
        """Numbers of tokens are below it."""
        return max(self.model.size, *(one + 1 for one in (self.pad, *self.before, *self.after)),
                   *(one.id + 1 for one in self.special))  # fmt: skip

    def json(self) -> dict[str, Any]:
        """The document that a bundle holds."""
        return {
            "schema": SCHEMA, "model": self.model.name, "before": list(self.before), "after": list(self.after),
            "pad": self.pad, "special": [[one.content, one.id, one.strips] for one in self.special],
            self.model.name: self.model.json(),
        }  # fmt: skip


_MODELS: dict[str, type[WordPiece] | type[BytePairs]] = {model.name: model for model in (WordPiece, BytePairs)}


def of_json(value: Any) -> Tokenizer:
    """Read the document that a bundle holds; ValueError, KeyError or TypeError if it is damaged."""
    if value["schema"] != SCHEMA:
        raise ValueError(f"it has schema {value['schema']}")
    model = _MODELS[value["model"]].of(fields.table(value[value["model"]], "model"))
    special = value["special"]
    if not isinstance(special, list) or len(special) > MOST_SPECIAL:
        raise ValueError("special tokens are missing or too many")
    found = tuple(Special(token(text), number(id), fields.flag(strips, "strips")) for text, id, strips in special)
    if len({one.content for one in found}) < len(found):
        raise ValueError("a special token is there twice")
    return Tokenizer(model, _numbers(value["before"]), _numbers(value["after"]), number(value["pad"]), found)


def _numbers(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or len(value) > MOST_AROUND:
        raise ValueError("tokens around a text are missing or too many")
    return tuple(map(number, value))


def number(value: Any) -> int:
    """The number of a token."""
    return fields.whole(value, MOST_TOKENS - 1, "a token's number")


def token(value: Any, least: int = 1) -> str:
    """The text of a token, of at least so many bytes; ValueError if it cannot be one."""
    if not isinstance(value, str) or "\0" in value:
        raise ValueError(f"{value!r} is not the text of a token")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise ValueError(f"{value!r} is not text") from None
    if not least <= size <= MOST_TOKEN_BYTES:
        raise ValueError(f"the token {value[:40]!r} has {size} bytes, not {least} to {MOST_TOKEN_BYTES}")
    return value
