"""BERT's tokens, as the package ``tokenizers`` finds them: the reference of ``firmware_stubs/linux/wordpiece.c``."""

from __future__ import annotations

from collections.abc import Iterator

from edgekit.tasks.tokens.tokenizer import WordPiece
from edgekit.tasks.tokens.unicode import CONTROL, IDEOGRAPH, MARK, PUNCTUATION, SPACE, decomposed, flags, lowercase

_REPLACEMENT = "\ufffd"


class Pieces:
    """Cuts texts into the numbers of pieces of words."""

    def __init__(self, model: WordPiece) -> None:
        self._model = model
        self._numbers = {word: number for number, word in enumerate(model.vocabulary) if word is not None}

    def ids(self, text: str) -> Iterator[int]:
        """The tokens of a text without special tokens."""
        for word in _words(_normal(self._model, text)):
            yield from self._cut(word)

    def _cut(self, word: str) -> list[int]:
        model = self._model
        if len(word) > model.longest:
            return [model.unknown]
        found, start = list[int](), 0
        while start < len(word):
            before = model.prefix if start else ""
            for end in range(len(word), start, -1):
                number = self._numbers.get(before + word[start:end])
                if number is not None:
                    found.append(number)
                    start = end
                    break
            else:
                return [model.unknown]
        return found


def _normal(model: WordPiece, text: str) -> str:
    if model.clean:
        kept = (c for c in text if c not in ("\0", _REPLACEMENT) and (c in "\t\n\r" or not flags(c) & CONTROL))
        text = "".join(" " if flags(c) & SPACE else c for c in kept)
    if model.chinese:
        text = "".join(f" {c} " if flags(c) & IDEOGRAPH else c for c in text)
    if model.accents:
        text = "".join(c for c in decomposed(text) if not flags(c) & MARK)
    return lowercase(text) if model.lower else text


def _words(text: str) -> Iterator[str]:
    word = ""
    for c in text:
        kind = flags(c)
        if not kind & (SPACE | PUNCTUATION):
            word += c
            continue
        if word:
            yield word
            word = ""
        if kind & PUNCTUATION:
            yield c
    if word:
        yield word
