"""GPT-2's tokens, as the package ``tokenizers`` finds them: the reference of ``firmware_stubs/linux/byte_pairs.c``."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from edgekit.tasks.tokens.tokenizer import BytePairs
from edgekit.tasks.tokens.unicode import GAP, LETTER, NUMBER, flags

LONGEST = 8192
"""Bytes of a word: what C has room for."""
_ENDINGS = ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d")
_KINDS = LETTER | NUMBER | GAP


class Joined:
    """Cuts texts into the numbers of joined bytes."""

    def __init__(self, model: BytePairs) -> None:
        self._model = model
        self._ranks = {pair[:2]: (rank, pair[2]) for rank, pair in enumerate(model.pairs)}

    def ids(self, text: str) -> Iterator[int]:
        """The tokens of a text without special tokens.

        :raises ValueError: if it has a word that is too long.
        """
        if text and self._model.space and not text.startswith(" "):
            text = f" {text}"
        start = 0
        while start < len(text):
            end = _end(text, start)
            yield from self._join(text[start:end].encode())
            start = end

    def _join(self, word: bytes) -> list[int]:
        """Join the pair that was learned first, as long as there is one."""
        if len(word) > LONGEST:
            raise ValueError(f"the text has a word of over {LONGEST} bytes")
        found = [self._model.bytes[byte] for byte in word]
        none = (len(self._model.pairs), 0)
        ranks = [self._ranks.get(pair, none) for pair in pairwise(found)]
        while ranks and (best := min(ranks)) < none:
            place = ranks.index(best)
            found[place : place + 2] = [best[1]]
            del ranks[place]
            for other in (place - 1, place):
                if 0 <= other < len(ranks):
                    ranks[other] = self._ranks.get((found[other], found[other + 1]), none)
        return found


def _end(text: str, start: int) -> int:
    r"""Where the word ends that begins at ``start``, by GPT-2's pattern.

    ``'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+``
    """
    for ending in _ENDINGS:
        if text.startswith(ending, start):
            return start + len(ending)
    first = start + (text[start] == " ")
    if first < len(text) and not flags(text[first]) & GAP:
        return _run(text, first)
    end = _run(text, start)
    return end if end == len(text) or end == start + 1 else end - 1


def _run(text: str, start: int) -> int:
    """Where the characters end that are of the kind of the first."""
    kind, end = flags(text[start]) & _KINDS, start + 1
    while end < len(text) and flags(text[end]) & _KINDS == kind:
        end += 1
    return end
