"""What holds for every kind of tokenizer: edgekit's tokens are the package's, and C and Python agree."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.tasks.tokens import huggingface, tokenizer
from edgekit.tasks.tokens.encoder import Encoder
from edgekit.tasks.tokens.tokenizer import Tokenizer
from tests.tasks import tokenizer_files


def package(document: dict[str, Any]) -> Any:
    """The package's tokenizer."""
    from tokenizers import Tokenizer as Package

    return Package.from_str(json.dumps(document))


def ours(document: dict[str, Any]) -> Tokenizer:
    """Edgekit's tokenizer."""
    return huggingface.read(json.dumps(document).encode())


def same_tokens(document: dict[str, Any], texts: Sequence[str], drawn: st.SearchStrategy[str], examples: int) -> None:
    """Hold edgekit's tokens against the package's: of some texts, and of others that are drawn."""
    theirs, encoder = package(document), Encoder(ours(document))
    for text in texts:
        assert list(encoder.ids(text)) == theirs.encode(text, add_special_tokens=False).ids, text

    @settings(max_examples=examples, deadline=None)
    @given(drawn)
    def same(text: str) -> None:
        assert list(encoder.ids(text)) == theirs.encode(text, add_special_tokens=False).ids

    same()


def same_rows(document: dict[str, Any], texts: Sequence[str], lengths: Iterable[int], pad: int) -> None:
    """Hold padding and truncation against the package's."""
    theirs, encoder = package(document), Encoder(ours(document))
    for length in lengths:
        theirs.enable_truncation(length)
        theirs.enable_padding(length=length, pad_id=pad)
        for text in texts:
            expected, found = theirs.encode(text), encoder.encode(text, length)
            assert found.ids.tolist() == expected.ids, text
            assert found.mask.tolist() == expected.attention_mask


def same_in_c(made: Tokenizer, driver: Path, folder: Path, texts: Sequence[str], length: int) -> None:
    """Hold what C makes of texts against Python."""
    (folder / "tokens.json").write_text(json.dumps(made.json()))
    found, used = tokenizer_files.in_c(driver, folder / "tokens.json", [text.encode() for text in texts], length)
    encoder = Encoder(made)
    expected = [encoder.encode(text, length) for text in texts]
    for text, row, count, one in zip(texts, found, used, expected, strict=True):
        assert row.tolist() == one.ids.tolist(), text
        assert count == one.mask.sum()


def damaged(made: Tokenizer, driver: Path, folder: Path, real: Sequence[str]) -> None:
    """Change bytes at random: C reads what Python reads, makes the same tokens of texts with it, and never crashes."""
    good = json.dumps(made.json()).encode()
    generator, texts = random.Random(3), [text.encode() for text in real]
    given = b"".join(len(text).to_bytes(4, "little") + text for text in texts)
    agreed = 0
    for _ in range(150):
        bad = bytearray(good)
        for _ in range(generator.choice([1, 1, 2, 5])):
            place = generator.randrange(len(bad))
            change = generator.choice([b"", b"9", b"-", b'"', b"null,", b"\xff", b"[1]"])
            bad[place : place + generator.choice([0, 1, 1, 1, 9])] = change
        (folder / "tokens.json").write_bytes(bad)
        done = subprocess.run([driver, folder / "tokens.json", "8"], input=given, capture_output=True, check=False)
        assert done.returncode in (0, 1), done.stderr.decode()
        try:
            encoder = Encoder(tokenizer.of_json(json.loads(bytes(bad))))
        except (ValueError, KeyError, TypeError):
            assert done.returncode == 1, bytes(bad)
            continue
        assert done.returncode == 0, bytes(bad)
        found = np.frombuffer(done.stdout, np.int32).reshape(len(texts), 9)
        assert found[:, 1:].tolist() == [encoder.encode(text, 8).ids.tolist() for text in real]
        agreed += 1
    assert agreed > 10
    (folder / "tokens.json").write_text(json.dumps({**made.json(), "special": [["[X]", 1, False], ["[X]", 2, True]]}))
    done = subprocess.run([driver, folder / "tokens.json", "8"], input=given, capture_output=True, check=False)
    assert done.returncode == 1, "C reads a special token that is there twice"
    with pytest.raises(ValueError, match="a special token is there twice"):
        tokenizer.of_json(json.loads((folder / "tokens.json").read_text()))
