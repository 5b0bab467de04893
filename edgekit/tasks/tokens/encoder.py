"""From texts to what a network takes: tokens in as many places as it has, the rest filled."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from edgekit.tasks.tokens.byte_pairs import Joined
from edgekit.tasks.tokens.tokenizer import Tokenizer, WordPiece
from edgekit.tasks.tokens.unicode import SPACE, flags
from edgekit.tasks.tokens.wordpiece import Pieces


@dataclass(frozen=True)
class Encoded:
    """Tokens of a text, int32 ``[length]``; and where there are some, 1, or 0 where there is only filling."""

    ids: NDArray[np.int32]
    mask: NDArray[np.int32]


class Encoder:
    """Makes tokens of texts."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        model = tokenizer.model
        self._model = Pieces(model) if isinstance(model, WordPiece) else Joined(model)
        contents = sorted((one.content for one in tokenizer.special), key=len, reverse=True)  # the longest match
        self._special = re.compile("|".join(map(re.escape, contents))) if contents else None
        self._known = {one.content: one for one in tokenizer.special}

    def ids(self, text: str) -> Iterator[int]:
        """The tokens of a text, without those around it.

        :raises ValueError: if a word is too long.
        """
        start = 0
        for match in self._special.finditer(text) if self._special else ():
            one = self._known[match.group()]
            end = match.start()
            while one.strips and end > start and flags(text[end - 1]) & SPACE:
                end -= 1
            yield from self._model.ids(text[start:end])
            yield one.id
            start = match.end()
        yield from self._model.ids(text[start:])

    def encode(self, text: str, length: int) -> Encoded:
        """Tokens in ``length`` places: those around the text stay, what is too much of it is cut off at its end.

        :raises ValueError: if a word is too long.
        """
        t = self._tokenizer
        room = length - len(t.before) - len(t.after)
        found = [*t.before, *islice(self.ids(text), max(room, 0)), *t.after][:length]
        ids, mask = np.full(length, t.pad, np.int32), np.zeros(length, np.int32)
        ids[: len(found)] = found
        mask[: len(found)] = 1
        return Encoded(ids, mask)
