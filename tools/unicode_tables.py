"""Writes ``firmware_stubs/linux/unicode_tables.h``: what the package ``tokenizers`` knows of each character.

Each is put to the package itself, since its Unicode is made of several versions. It takes about a minute:
``.venv/bin/python tools/unicode_tables.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tokenizers import __version__ as version
from tokenizers import normalizers, pre_tokenizers

FILE = Path(__file__).parents[1] / "firmware_stubs" / "linux" / "unicode_tables.h"
CONTROL, SPACE, PUNCTUATION, IDEOGRAPH, MARK, LETTER, NUMBER, GAP = (1 << bit for bit in range(8))
HANGUL = range(0xAC00, 0xD7A4)
"""Syllables, whose parts are computed."""
HEAD = """/* What characters are, as the package tokenizers {version} sees them; unicode.h says what the flags mean.
   tools/unicode_tables.py writes this file. */
#ifndef EDGEKIT_UNICODE_TABLES_H
#define EDGEKIT_UNICODE_TABLES_H

#include <stdint.h>
"""


def bert(**steps: bool) -> Callable[[str], str]:
    """One step of BERT's normalizer."""
    off = dict.fromkeys(("clean_text", "handle_chinese_chars", "strip_accents", "lowercase"), False)
    made: Callable[[str], str] = normalizers.BertNormalizer(**{**off, **steps}).normalize_str
    return made


CLEAN, CHINESE, STRIP = (bert(**{key: True}) for key in ("clean_text", "handle_chinese_chars", "strip_accents"))
DECOMPOSE: Callable[[str], str] = normalizers.NFD().normalize_str
LOWER: Callable[[str], str] = normalizers.Lowercase().normalize_str
WORDS = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True).pre_tokenize_str


def characters() -> Iterator[int]:
    """All code points but surrogates."""
    yield from range(0xD800)
    yield from range(0xE000, 0x110000)


def flags(point: int) -> int:
    """What a character is."""
    c = chr(point)
    parts = WORDS(f"a{c}b")
    letter, number = len(BYTES(f"x{c}")) == 1, len(BYTES(f"1{c}")) == 1
    gap = not letter and not number and len(BYTES(f"!{c}")) == 2
    return (
        CONTROL * (not CLEAN(c)) | SPACE * (len(parts) == 2) | PUNCTUATION * (len(parts) == 3)
        | IDEOGRAPH * (len(CHINESE(c)) == 3) | MARK * (DECOMPOSE(c) == c and STRIP(f"a{c}") == "a")
        | LETTER * letter | NUMBER * number | GAP * gap
    )  # fmt: skip


def orders() -> dict[int, int]:
    """The combining class of each character that has one; classes are numbered in their order."""
    low, high = "\u0334", "\u0345"  # classes 1 and 240, the first and the last
    marks = [
        p for p in characters()
        if p not in HANGUL and len(DECOMPOSE(chr(p))) == 1
        and (DECOMPOSE(chr(p) + low)[0] == low or DECOMPOSE(high + chr(p))[0] != high)
    ]  # fmt: skip
    first: list[int] = []  # of each class, sorted
    for point in marks:
        place = sum(DECOMPOSE(chr(point) + chr(other))[0] != chr(point) for other in first)
        if place == len(first) or DECOMPOSE(chr(first[place]) + chr(point))[0] != chr(first[place]):
            first.insert(place, point)
    return {p: 1 + sum(DECOMPOSE(chr(p) + chr(other))[0] != chr(p) for other in first) for p in marks}


def ranges(values: Callable[[int], int]) -> list[int]:
    """``first << 8 | value`` of each run of characters with the same value."""
    made: list[int] = []
    for point in characters():
        value = values(point)
        if not made or made[-1] & 255 != value:
            made.append(point << 8 | value)
    return made


def mapping(change: Callable[[str], str]) -> tuple[list[int], list[int], list[int]]:
    """Characters that change; where what becomes of each begins in the third list, and at last where that ends."""
    points, at, to = list[int](), list[int](), list[int]()
    for point in characters():
        if point not in HANGUL and (made := change(chr(point))) != chr(point):
            points.append(point)
            at.append(len(to))
            to += map(ord, made)
    return points, [*at, len(to)], to


def array(kind: str, name: str, values: Sequence[int]) -> str:
    """An array in C."""
    lines = [", ".join(map(str, values[at : at + 12])) for at in range(0, len(values), 12)]
    return f"\nstatic const {kind} unicode_{name}[] = {{\n    " + ",\n    ".join(lines) + ",\n};\n"


def main() -> None:
    """Write the file."""
    classes = orders()
    parts, lower = mapping(DECOMPOSE), mapping(LOWER)
    text = HEAD.format(version=version) + "\n/* clang-format off */"
    text += array("uint32_t", "flags_of", ranges(flags)) + array(
        "uint32_t", "orders", ranges(lambda p: classes.get(p, 0))
    )
    for name, (points, at, to) in (("parts", parts), ("lower", lower)):
        text += array("uint32_t", f"{name}_of", points) + array("uint16_t", f"{name}_at", at)
        text += array("uint32_t", f"{name}_to", to)
    FILE.write_text(text + "/* clang-format on */\n\n#endif\n")


if __name__ == "__main__":
    main()
