"""Byte-level tokens: edgekit's own against the package ``tokenizers``, and C against both."""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from edgekit.data.sources import Refused, network_inputs
from edgekit.tasks.text import Role, Text
from edgekit.tasks.tokens import byte_pairs, tokenizer
from edgekit.tasks.tokens.byte_pairs import LONGEST
from edgekit.tasks.tokens.encoder import Encoder
from tests.installed import needed
from tests.tasks import byte_pair_files, tokenizer_files
from tests.tasks.text_networks import averaging
from tests.tasks.tokenizer_checks import damaged, ours, package, same_in_c, same_rows, same_tokens

needed("tokenizers", "dev")

REAL = (
    *byte_pair_files.TEXT.splitlines(), byte_pair_files.TEXT, "", " ", "  ", " a", "a  b   ", "\t\n x",
    "it's 'sure 're",
    "x's'll'D 12abc!?", "a <mask> b<mask>", "  <mask>", "<s>x</s> <pad>", "a\u00a0b \u2003c", "1\u00b22 \u0660",
    "e\u0301 \u200b\ufeff", "'", " '", "''s", "\x00\x1c \x85", "the" * 50,
)  # fmt: skip
PIECES = st.one_of(
    st.sampled_from([" ", "  ", "\n", "\t", "\u00a0", "\u2003", "'s", "'ll", "'", "<mask>", "<s>"]),
    st.sampled_from(["12", "²", "!?", "é"]),
    st.sampled_from(["the", "in", "turn", "light", "weather", "한국", "中文", "при"]),
    st.characters(exclude_categories=["Cs"]),
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=40).map("".join)


@pytest.fixture(scope="module", params=[False, True], ids=["as-it-is", "space-before"])
def document(request: pytest.FixtureRequest) -> dict[str, Any]:
    return byte_pair_files.roberta(request.param)


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tokenizer_files.driver(tmp_path_factory.mktemp("bytes"))


def test_tokens_are_the_packages(document: dict[str, Any]) -> None:
    same_tokens(document, REAL, TEXTS, examples=500)


def test_padding_and_truncation_are_the_packages(document: dict[str, Any]) -> None:
    same_rows(document, REAL, (2, 3, 8, 64), pad=1)


def test_older_files_write_pairs_as_text() -> None:
    document = byte_pair_files.roberta()
    made = ours(document)
    document["model"]["merges"] = [" ".join(pair) for pair in document["model"]["merges"]]
    assert ours(document) == made


def test_c_finds_the_same_tokens(document: dict[str, Any], driver: Path, tmp_path: Path) -> None:
    made, generator = ours(document), random.Random(7)
    characters = [*"abtheing 's12 !\n\t", "\u00a0", "é", "한", "中", "😀", "²", "\u2003", "<mask>"]
    mixed = ["".join(generator.choice([*characters, *REAL]) for _ in range(30)) for _ in range(150)]
    for length in (1, 2, 3, 17, 3000):
        same_in_c(made, driver, tmp_path, [*REAL, *mixed[:: 1 if length == 3000 else 10]], length)


def test_words_that_are_too_long_are_refused_where_they_matter(driver: Path, tmp_path: Path) -> None:
    made = ours(byte_pair_files.roberta())
    encoder = Encoder(made)
    (tmp_path / "tokens.json").write_text(json.dumps(made.json()))
    texts = ["x" * LONGEST, "x" * (LONGEST + 1), "a b c d e f g h " + "x" * (LONGEST + 1)]
    _, used = tokenizer_files.in_c(driver, tmp_path / "tokens.json", [text.encode() for text in texts], 8)
    assert used.tolist() == [8, -1, 8]
    assert encoder.encode(texts[0], 8).mask.sum() == encoder.encode(texts[2], 8).mask.sum() == 8
    with pytest.raises(ValueError, match="a word of over 8192 bytes"):
        encoder.encode(texts[1], 8)
    graph = averaging(made.size, length=8)
    with pytest.raises(Refused, match="a word of over 8192 bytes"):
        network_inputs(Text(made, (Role.IDS, Role.MASK)), texts[1], graph)


def test_a_space_before_a_word_counts(driver: Path, tmp_path: Path) -> None:
    made = ours(byte_pair_files.roberta(True))
    (tmp_path / "tokens.json").write_text(json.dumps(made.json()))
    fits, too_long = "x" * (LONGEST - 1), "x" * LONGEST
    _, used = tokenizer_files.in_c(driver, tmp_path / "tokens.json", [fits.encode(), too_long.encode()], 8)
    assert used.tolist() == [8, -1] and Encoder(made).encode(fits, 8).mask.sum() == 8
    with pytest.raises(ValueError, match="a word of over 8192 bytes"):
        Encoder(made).encode(too_long, 8)


@pytest.mark.parametrize("beyond", [False, True])
def test_numbers_of_tokens_are_below_the_size(driver: Path, tmp_path: Path, beyond: bool) -> None:
    made = ours(byte_pair_files.roberta()).json()
    made["bytes"]["bytes"][0] = made["bytes"]["size"] - (not beyond)
    (tmp_path / "tokens.json").write_text(json.dumps(made))
    done = subprocess.run([driver, tmp_path / "tokens.json", "8"], input=b"", capture_output=True, check=False)
    assert done.returncode == beyond
    with (
        pytest.raises(ValueError, match="token = 450 is not a whole number up to 449")
        if beyond
        else contextlib.nullcontext()
    ):
        tokenizer.of_json(made)


@pytest.mark.slow
def test_every_character_is_the_packages() -> None:
    """Each ends words, or not, as the package does it."""
    theirs = package(byte_pair_files.roberta()).pre_tokenizer
    for text in _all_characters():
        places = [end for _, (_, end) in theirs.pre_tokenize_str(text)]
        found, start = [], 0
        while start < len(text):
            start = byte_pairs._end(text, start)
            found.append(start)
        assert found == places


def _all_characters() -> Iterator[str]:
    for begin in range(0, 0x110000, 1024):
        if not 0xD800 <= begin < 0xE000:
            yield "".join(f"a{chr(point)}1{chr(point)}! {chr(point)}" for point in range(begin, begin + 1024))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dropout": 0.1}, "dropout = 0.1"),
        ({"byte_fallback": True}, "byte_fallback = True"),
        ({"ignore_merges": True}, "ignore_merges = True"),
        ({"end_of_word_suffix": "</w>"}, "end_of_word_suffix = '</w>'"),
        ({"merges": None}, "its merges are not a list"),
        ({"merges": [["t", "h", "e"]]}, "is not a pair"),
        ({"merges": [["t", "q"]]}, "'tq' is not in its vocabulary"),
        ({"merges": [["h", "e"], ["h", "e"]]}, "is among its merges twice"),
        ({"vocab": {"a": 0}}, "is not in its vocabulary"),
    ],
)
def test_models_that_are_refused(changes: dict[str, Any], words: str) -> None:
    document = byte_pair_files.roberta()
    document["model"].update(changes)
    with pytest.raises(ValueError, match=r"^[^\n]+$") as refused:
        ours(document)
    assert words in str(refused.value)


def test_other_steps_are_refused() -> None:
    for key, value, words in (
        ("normalizer", {"type": "NFC"}, "its normalizer is 'NFC'"),
        ("pre_tokenizer", {"type": "Metaspace"}, "its pre_tokenizer is 'Metaspace'; edgekit has ByteLevel"),
        ("pre_tokenizer", {"type": "ByteLevel", "use_regex": False}, "use_regex = false"),
    ):
        with pytest.raises(ValueError, match=words.replace(";", ".")):
            ours({**byte_pair_files.roberta(), key: value})
    for content in ("<m", "<mask>>", "x<", "><s"):
        document = byte_pair_files.roberta()
        document["added_tokens"][0].update(content=content, normalized=True, id=999)
        with pytest.raises(ValueError, match="overlap, which edgekit does not do"):
            ours(document)


def test_many_long_added_tokens_are_read_in_time() -> None:
    document = byte_pair_files.roberta()
    few = {"single_word": False, "lstrip": False, "rstrip": False, "special": True}
    document["added_tokens"] += [
        {"id": 1000 + number, "content": f"{'ab'[number % 2] * 390}{number}.", "normalized": bool(number % 2), **few}
        for number in range(900)
    ]
    start = time.monotonic()
    assert len(ours(document).special) > 900
    assert time.monotonic() - start < 10


def test_damaged_tokenizers_are_refused_or_read(driver: Path, tmp_path: Path) -> None:
    """Bytes changed at random: Python and C agree on what is a tokenizer, and C neither crashes nor reads wrongly."""
    made = ours(byte_pair_files.roberta(size=300))
    assert tokenizer.of_json(json.loads(json.dumps(made.json()))) == made
    damaged(made, driver, tmp_path, REAL)
