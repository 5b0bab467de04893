"""Tokenizers for tests, made by the package ``tokenizers``, and the C that reads them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.tasks import c_driver

PARTS = ("byte_pairs.c", "json.c", "tokens.c", "unicode.c", "wordpiece.c")
ALPHABETS = (
    (0x21, 0x250), (0x300, 0x530), (0x5D0, 0x5EB), (0x620, 0x660), (0x900, 0xA00), (0x1100, 0x1113), (0x1161, 0x1176),
    (0x11A8, 0x11C3), (0x1E00, 0x1F00), (0x302A, 0x3041), (0x4E00, 0x4E40), (0xAC00, 0xAC20), (0x1D165, 0x1D170),
    (0x1F600, 0x1F610),
)  # fmt: skip
"""Characters that the tests' vocabularies know: letters, accents, ideographs, syllables and their parts."""
WORDS = ("play", "##ing", "##ed", "un", "##able", "turn", "##s", "the", "light", "lights", "##hts", "weather", "##er")


def bert(**options: Any) -> dict[str, Any]:
    """The document of a ``tokenizer.json``, with the defaults of BERT."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    letters = [chr(point) for low, high in ALPHABETS for point in range(low, high)]
    texts = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *letters, *(f"##{one}" for one in letters)]
    longest = options.pop("longest", 100)
    numbers = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    made = Tokenizer(models.WordPiece(numbers, unk_token="[UNK]", max_input_chars_per_word=longest))
    made.normalizer = normalizers.BertNormalizer(**options)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", numbers["[CLS]"]), ("[SEP]", numbers["[SEP]"])]
    )
    document: dict[str, Any] = json.loads(made.to_str())
    return document


def driver(folder: Path) -> Path:
    """Compile the program that calls ``tokens.c``, with sanitizers."""
    return c_driver.compiled(folder, "tokens_driver.c", *PARTS)


def in_c(driver: Path, file: Path, texts: Sequence[bytes], length: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The tokens ``[texts, length]``, and how many are used ``[texts]``; -1: the text was refused."""
    given = b"".join(len(text).to_bytes(4, "little") + text for text in texts)
    done = subprocess.run([driver, file, str(length)], input=given, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    found = np.frombuffer(done.stdout, np.int32).reshape(len(texts), 1 + length)
    return found[:, 1:], found[:, 0]
