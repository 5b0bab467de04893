"""What characters are, and what becomes of them: the tables of ``firmware_stubs/linux/unicode_tables.h``."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from edgekit import resources

_ARRAY = re.compile(r"unicode_(\w+)\[\] = \{([^}]*)\}")
_HANGUL, _LEADS, _VOWELS, _TAILS = 0xAC00, 0x1100, 0x1161, 0x11A7
_SYLLABLES, _PER_LEAD, _PER_VOWEL = 11172, 588, 28
"""Of the algorithm in Unicode's section 3.12."""


CONTROL = 1
"""A flag: removed from a text that is cleaned."""
SPACE = 2
"""Ends a word."""
PUNCTUATION = 4
"""A word of its own."""
IDEOGRAPH = 8
"""Chinese: a word of its own, too."""
MARK = 16
"""An accent that stands alone, behind its letter."""
LETTER, NUMBER = 32, 64
GAP = 128
r"""Byte-level tokenizers' ``\s``."""


@dataclass(frozen=True)
class _Changes:
    """What becomes of the characters that change."""

    of: dict[int, str]

    @classmethod
    def read(cls, arrays: dict[str, list[int]], name: str) -> _Changes:
        at, to = arrays[f"{name}_at"], "".join(map(chr, arrays[f"{name}_to"]))
        return cls({p: to[at[i] : at[i + 1]] for i, p in enumerate(arrays[f"{name}_of"])})


@dataclass(frozen=True)
class _Tables:
    flags: Sequence[int]
    orders: Sequence[int]
    parts: _Changes
    lower: _Changes


@cache
def _tables() -> _Tables:
    text = (resources.folder("firmware_stubs") / "linux" / "unicode_tables.h").read_text()
    arrays = {name: [int(number) for number in values.split(",")[:-1]] for name, values in _ARRAY.findall(text)}
    return _Tables(
        arrays["flags_of"], arrays["orders"], _Changes.read(arrays, "parts"), _Changes.read(arrays, "lower")
    )  # fmt: skip


def _in(ranges: Sequence[int], point: int) -> int:
    return ranges[bisect_right(ranges, point << 8 | 255) - 1] & 255


@cache
def flags(character: str) -> int:
    """What a character is: the flags above (plain integers, since a text asks for them often)."""
    return _in(_tables().flags, ord(character))


@cache
def order(character: str) -> int:
    """The combining class, numbered; 0: it begins something new."""
    return _in(_tables().orders, ord(character))


def lowercase(text: str) -> str:
    """Each character in lower case by itself."""
    changes = _tables().lower.of
    return "".join(changes.get(ord(c), c) for c in text)


def decomposed(text: str) -> str:
    """Canonical decomposition (NFD)."""
    made: list[str] = []
    run: list[str] = []  # of characters that have a combining class
    for c in (part for whole in text for part in _parts(whole)):
        if order(c):
            run.append(c)
            continue
        made += [*sorted(run, key=order), c]
        run.clear()
    return "".join([*made, *sorted(run, key=order)])


def _parts(character: str) -> Iterable[str]:
    number = ord(character) - _HANGUL
    if not 0 <= number < _SYLLABLES:
        return _tables().parts.of.get(ord(character), character)
    lead, vowel, tail = number // _PER_LEAD, number % _PER_LEAD // _PER_VOWEL, number % _PER_VOWEL
    return chr(_LEADS + lead) + chr(_VOWELS + vowel) + (chr(_TAILS + tail) if tail else "")
