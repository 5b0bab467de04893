"""BERT's tokens: edgekit's own against the package ``tokenizers``, and C against both."""

from __future__ import annotations

import contextlib
import copy
import json
import random
import string
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.tasks.tokens import tokenizer, wordpiece
from edgekit.tasks.tokens.encoder import Encoder
from edgekit.tasks.tokens.tokenizer import WordPiece
from tests.installed import needed
from tests.tasks import tokenizer_files
from tests.tasks.tokenizer_checks import damaged, ours, package, same_in_c, same_rows, same_tokens

needed("tokenizers", "dev")

OPTIONS: tuple[dict[str, Any], ...] = (
    {}, {"lowercase": False}, {"strip_accents": True, "lowercase": False}, {"strip_accents": False},
    {"clean_text": False, "handle_chinese_chars": False}, {"longest": 5},
)  # fmt: skip
REAL = (
    "Turn the kitchen lights on, please!", "  What's the weather\tlike in Zürich tomorrow?\n",
    "I'm 3.5€ short… naïve café", "中文字符和English混排", "한국어 문장입니다.", "Привет, как дела?",
    "İstanbul\u2019da hava nas\u0131l?", "שלום עולם", "हिन्दी में लिखा", "a\u0000b\ufffdc\u200dd\u00ade",
    "e\u0301\u0327x\u0327\u0301", "[CLS] a [MASK] [SEP][PAD]x[MASK", "", " ", "😀😃 ok",
    "supercalifragilistic" * 9, "\u302e\u302fa\u302f\u302e\u034f\u302e", "\U0001d15e\U0001d165\U0001d16d\u0334",
    "a\u302e\U0001d165b \u302f\u0301\U0001d166", "a\u302e\u034f\U0001d165", "the\rlight\r\nweather",
)  # fmt: skip


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tokenizer_files.driver(tmp_path_factory.mktemp("tokens"))


KNOWN = "".join(chr(point) for low, high in tokenizer_files.ALPHABETS for point in range(low, high))
PIECES = st.one_of(
    st.sampled_from(KNOWN),
    st.sampled_from([" ", "  ", "\n", "\u00a0", "\u2028", "\u0085", "\x1c", "\u200b", "[MASK]", "[SEP]", "[MA"]),
    st.sampled_from(tokenizer_files.WORDS).map(lambda word: word.removeprefix("##")),
    st.characters(exclude_categories=["Cs"]),
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=40).map("".join)


@pytest.fixture(scope="module", params=range(len(OPTIONS)))
def document(request: pytest.FixtureRequest) -> dict[str, Any]:
    return tokenizer_files.bert(**OPTIONS[request.param])


def test_tokens_are_the_packages(document: dict[str, Any]) -> None:
    same_tokens(document, REAL, TEXTS, examples=300)


def test_padding_and_truncation_are_the_packages(document: dict[str, Any]) -> None:
    same_rows(document, REAL, (3, 8, 64), pad=0)


def test_c_finds_the_same_tokens(document: dict[str, Any], driver: Path, tmp_path: Path) -> None:
    made, generator = ours(document), random.Random(7)
    mixed = ["".join(generator.choice([*KNOWN, " ", "\u0300", *REAL]) for _ in range(30)) for _ in range(200)]
    for length in (1, 2, 3, 17, 300):
        same_in_c(made, driver, tmp_path, [*REAL, *mixed[:: 1 if length == 300 else 20]], length)


def test_c_refuses_what_is_no_text(driver: Path, tmp_path: Path) -> None:
    (tmp_path / "tokens.json").write_text(json.dumps(ours(tokenizer_files.bert()).json()))
    broken = [
        b"\x80",
        b"a\xc3",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\xe0\x80\xaf",
    ]
    _, used = tokenizer_files.in_c(driver, tmp_path / "tokens.json", broken, 8)
    assert used.tolist() == [-1] * len(broken)


@pytest.mark.parametrize("order", [1, -1])
def test_of_special_tokens_the_longest_wins(driver: Path, tmp_path: Path, order: int) -> None:
    specials = (tokenizer.Special("<a", 7, False), tokenizer.Special("<ab>", 8, False))[::order]
    made = replace(ours(tokenizer_files.bert()), special=specials)
    (tmp_path / "tokens.json").write_text(json.dumps(made.json()))
    found, _ = tokenizer_files.in_c(driver, tmp_path / "tokens.json", [b"<ab><a"], 5)
    assert Encoder(made).encode("<ab><a", 5).ids.tolist() == found[0].tolist() == [2, 8, 7, 3, 0]


@pytest.mark.parametrize(("number", "read"), [((1 << 20) - 1, True), (1 << 20, False), (-1, False)])
def test_numbers_of_tokens_have_a_limit(driver: Path, tmp_path: Path, number: int, read: bool) -> None:
    made = {**ours(tokenizer_files.bert()).json(), "pad": number}
    (tmp_path / "tokens.json").write_text(json.dumps(made))
    done = subprocess.run([driver, tmp_path / "tokens.json", "8"], input=b"", capture_output=True, check=False)
    assert done.returncode == (0 if read else 1)
    with contextlib.nullcontext() if read else pytest.raises(ValueError, match="a token's number"):
        tokenizer.of_json(made)


@pytest.mark.parametrize(("count", "read"), [(1000, True), (1001, False)])
def test_few_tokens_may_have_the_same_place(driver: Path, tmp_path: Path, count: int, read: bool) -> None:
    """In the table of 4096 places that C makes for their hashes: a vocabulary cannot make it slow."""
    made = ours(tokenizer_files.bert()).json()
    made["wordpiece"] |= {"vocabulary": of_one_place(4096)[:count], "unknown": 0}
    (tmp_path / "tokens.json").write_text(json.dumps({**made, "special": []}))
    done = subprocess.run([driver, tmp_path / "tokens.json", "8"], input=b"", capture_output=True, check=False)
    assert done.returncode == (0 if read else 1), done.stderr


def of_one_place(slots: int) -> list[str]:
    """Texts whose hash is 0 in a table of so many places (FNV-1a of four letters, folded as ``wordpiece.c`` does)."""
    letters = np.frombuffer(string.ascii_letters.encode(), np.uint8).astype(np.uint32)
    hashes = np.full(1, 2166136261, np.uint32)
    for _ in range(4):
        hashes = ((hashes[:, None] ^ letters) * np.uint32(16777619)).reshape(-1)
    (found,) = np.nonzero((hashes ^ hashes >> np.uint32(15)) % np.uint32(slots) == 0)
    places = np.stack(np.unravel_index(found, [len(letters)] * 4), axis=1)
    return ["".join(string.ascii_letters[place] for place in text) for text in places]


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"strip_accents": False}])
def test_every_character_is_the_packages(options: dict[str, Any]) -> None:
    """Each is normalized, and ends words or not, as the package does it."""
    document = tokenizer_files.bert(**options)
    theirs, model = package(document), ours(document).model
    assert isinstance(model, WordPiece)
    for text in _all_characters():
        normal = theirs.normalizer.normalize_str(text)
        assert wordpiece._normal(model, text) == normal
        assert list(wordpiece._words(normal)) == [word for word, _ in theirs.pre_tokenizer.pre_tokenize_str(normal)]
        raw = [word for word, _ in theirs.pre_tokenizer.pre_tokenize_str(text)]
        assert list(wordpiece._words(text)) == raw


def _all_characters() -> Iterator[str]:
    for begin in range(0, 0x110000, 1024):
        if not 0xD800 <= begin < 0xE000:
            yield "".join(f"a{chr(point)}B" for point in range(begin, begin + 1024))


MARKS = "a\u0334\u0327\u0301\u0345\u302e\u302f\u034f\U0001d165\U0001d16e\U00016ff0\uac01\u1e69"


def test_marks_are_sorted_as_the_package_does_it() -> None:
    document = tokenizer_files.bert()
    model, normalizer = ours(document).model, package(document).normalizer
    assert isinstance(model, WordPiece)

    @settings(max_examples=300, deadline=None)
    @given(st.text(st.sampled_from(MARKS)))
    def same(text: str) -> None:
        assert wordpiece._normal(model, text) == normalizer.normalize_str(text)

    same()


# What is refused


def changed(path: str, value: Any) -> dict[str, Any]:
    """BERT's document with one value replaced."""
    made = copy.deepcopy(tokenizer_files.bert())
    *way, last = path.split(".")
    place: Any = made
    for key in way:
        place = place[int(key) if key.isdigit() else key]
    place[int(last) if last.isdigit() else last] = value
    return made


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("model", None, "it has no model"),
        ("model.type", "Unigram", "its model is 'Unigram'; edgekit has WordPiece, BPE"),
        ("model.type", [], "its model is []"),
        ("model.vocab", {}, "vocabulary is missing"),
        ("model.vocab", {"[UNK]": 0, "a": 0}, "the same number"),
        ("model.vocab", {"[UNK]": -1}, "a token's number = -1"),
        ("model.vocab", {"[UNK]": 1 << 30}, "not a whole number up to"),
        ("model.vocab", {"a": 0}, "'[UNK]' is not in its vocabulary"),
        ("model.vocab", {"x" * 500: 0}, "has 500 bytes"),
        ("model.max_input_chars_per_word", 10**6, "max_input_chars_per_word"),
        ("normalizer", None, "it has no normalizer"),
        ("normalizer.type", "NFKC", "its normalizer is 'NFKC'; edgekit has BertNormalizer"),
        ("normalizer.sideways", True, "unknown setting 'sideways'"),
        ("pre_tokenizer.type", "Whitespace", "its pre_tokenizer is 'Whitespace'; edgekit has BertPreTokenizer"),
        ("post_processor.type", "Sequence", "its post_processor is 'Sequence'"),
        ("post_processor.single", [], "does not hold the text once"),
        ("post_processor.single.0.SpecialToken.id", [], "[] is not among its special_tokens"),
        ("post_processor.special_tokens", {}, "'[CLS]' is not among its special_tokens"),
        ("added_tokens.4.normalized", True, "'[MASK]' has normalized = true"),
        ("added_tokens.4.single_word", True, "'[MASK]' has single_word = true"),
        ("added_tokens.4.id", 77, "another number than in the vocabulary"),
        ("truncation", {"direction": "Left"}, "its truncation is on the left"),
        ("padding", {"direction": "Left"}, "its padding is on the left"),
    ],
)
def test_what_is_refused(path: str, value: Any, words: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$") as refused:
        ours(changed(path, value))
    assert words in str(refused.value)


def test_the_kept_form_is_read_back() -> None:
    made = ours(tokenizer_files.bert(lowercase=False, longest=7))
    assert tokenizer.of_json(json.loads(json.dumps(made.json()))) == made
    assert made.pad == 0 and made.before == (2,) and made.after == (3,)


def test_damaged_tokenizers_are_refused_or_read(driver: Path, tmp_path: Path) -> None:
    """Bytes changed at random: Python and C agree on what is a tokenizer, and C neither crashes nor reads wrongly."""
    document = tokenizer_files.bert(longest=9)
    small = {text: place for text, place in document["model"]["vocab"].items() if place < 40}
    document["model"]["vocab"] = small
    damaged(ours(document), driver, tmp_path, REAL)
