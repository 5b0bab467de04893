"""Reads ``tokenizer.json`` of the package ``tokenizers``; what it says is done exactly so, or refused by its name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from edgekit.files import documents
from edgekit.tasks import fields
from edgekit.tasks.tokens.tokenizer import (
    LONGEST_WORD,
    MOST_AROUND,
    MOST_PAIRS,
    MOST_SPECIAL,
    MOST_TOKENS,
    MOST_VALUES,
    BytePairs,
    Special,
    Tokenizer,
    WordPiece,
    number,
    token,
)  # fmt: skip

PADS = ("[PAD]", "<pad>")

Table = Mapping[str, Any]


def read(data: bytes) -> Tokenizer:
    """Read the file's content.

    :raises ValueError: with one line on what is wrong, or not supported.
    """
    document = documents.loads(data, MOST_VALUES)
    if not isinstance(document, dict) or not isinstance(document.get("model"), dict):
        raise ValueError("it is not a tokenizer.json: it has no model")
    kind = document["model"].get("type")
    if not isinstance(kind, str) or kind not in _MODELS:
        raise ValueError(f"its model is {kind!r}; edgekit has {', '.join(_MODELS)}")
    numbers = _vocabulary(document["model"].get("vocab"))
    model = _MODELS[kind](document, numbers)
    special = _special(document, numbers)
    numbers = {**numbers, **{one.content: one.id for one in special}}
    before, after = _around(document.get("post_processor"), numbers)
    _check_direction(document, "truncation")
    return Tokenizer(model, before, after, _pad(document, numbers), special)


def _vocabulary(given: Any) -> dict[str, int]:
    if not isinstance(given, dict) or not 0 < len(given) <= MOST_TOKENS:
        raise ValueError("its vocabulary is missing or too large")
    found = {token(text, 0): number(value) for text, value in given.items()}
    if len(set(found.values())) < len(found):
        raise ValueError("two tokens of its vocabulary have the same number")
    return found


def _word_piece(document: Table, numbers: dict[str, int]) -> WordPiece:
    model = document["model"]
    _only(_part(document, "pre_tokenizer"), "pre_tokenizer", "BertPreTokenizer", ())
    steps = _part(document, "normalizer")
    _only(steps, "normalizer", "BertNormalizer", ("clean_text", "handle_chinese_chars", "strip_accents", "lowercase"))
    flags = ("clean_text", "handle_chinese_chars", "lowercase")
    clean, chinese, lower = (fields.flag(steps.get(key, True), f"normalizer.{key}") for key in flags)
    accents = steps.get("strip_accents")
    words: list[str | None] = [None] * (max(numbers.values()) + 1)
    for text, place in numbers.items():
        words[place] = text or None
    return WordPiece(
        clean, chinese, lower if accents is None else fields.flag(accents, "normalizer.strip_accents"), lower,
        token(model.get("continuing_subword_prefix", "##"), 0),
        fields.whole(model.get("max_input_chars_per_word", 100), LONGEST_WORD, "max_input_chars_per_word", 1),
        _known(model.get("unk_token", "[UNK]"), numbers), tuple(words),
    )  # fmt: skip


def _byte_pairs(document: Table, numbers: dict[str, int]) -> BytePairs:
    model = document["model"]
    for setting in ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback", "ignore_merges"):
        if model.get(setting):
            raise ValueError(f"its model has {setting} = {model[setting]!r}, which edgekit does not do")
    if document.get("normalizer") is not None:
        kind = document["normalizer"].get("type") if isinstance(document["normalizer"], Mapping) else "damaged"
        raise ValueError(f"its normalizer is {kind!r}; edgekit has none with byte pairs")
    words = _part(document, "pre_tokenizer")
    _only(words, "pre_tokenizer", "ByteLevel", ("add_prefix_space", "trim_offsets", "use_regex"))
    if words.get("use_regex", True) is not True:
        raise ValueError("its pre_tokenizer has use_regex = false, which edgekit does not do")
    space = fields.flag(words.get("add_prefix_space", True), "pre_tokenizer.add_prefix_space")
    single = tuple(_known(letter, numbers) for letter in _letters())
    pairs = tuple((*pair, joined) for pair, joined in _merges(model.get("merges"), numbers))
    return BytePairs(space, single, pairs, max(numbers.values()) + 1)


def _letters() -> list[str]:
    """How GPT-2 writes each of the 256 bytes: those that can be printed as they are, the others from U+0100 on."""
    plain = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in plain else next(others)) for byte in range(256)]


def _merges(given: Any, numbers: Mapping[str, int]) -> Iterator[tuple[tuple[int, int], int]]:
    """Pairs that are joined, and what they become, in the order in which they were learned."""
    if not isinstance(given, list) or len(given) > MOST_PAIRS:
        raise ValueError(f"its merges are not a list of at most {MOST_PAIRS}")
    seen = set()
    for entry in given:
        parts = entry.split(" ") if isinstance(entry, str) else entry
        if not isinstance(parts, list) or len(parts) != 2:
            raise ValueError(f"{str(entry)[:40]!r} among its merges is not a pair")
        left, right = (_known(part, numbers) for part in parts)
        if (left, right) in seen:
            raise ValueError(f"the pair {str(entry)[:40]!r} is among its merges twice")
        seen.add((left, right))
        yield (left, right), _known("".join(parts), numbers)


_MODELS: dict[str, Callable[[Table, dict[str, int]], WordPiece | BytePairs]] = {
    "WordPiece": _word_piece, "BPE": _byte_pairs,
}  # fmt: skip


def _part(document: Table, key: str) -> Table:
    value = document.get(key)
    if not isinstance(value, Mapping):
        raise ValueError(f"it has no {key}")
    return value


def _only(part: Table, key: str, kind: str, known: Iterable[str]) -> None:
    """Refuse another kind of step, and settings that are not known."""
    if part.get("type") != kind:
        raise ValueError(f"its {key} is {part.get('type')!r}; edgekit has {kind}")
    for setting in part:
        if setting not in ("type", *known):
            raise ValueError(f"its {key} has the unknown setting {setting!r}")


def _known(text: Any, numbers: Mapping[str, int]) -> int:
    if not isinstance(text, str) or text not in numbers:
        raise ValueError(f"the token {text!r} is not in its vocabulary")
    return numbers[text]


def _special(document: Table, numbers: Mapping[str, int]) -> tuple[Special, ...]:
    given = document.get("added_tokens") or []
    if not isinstance(given, list) or len(given) > MOST_SPECIAL:
        raise ValueError(f"its added_tokens are not a list of at most {MOST_SPECIAL}")
    found = [_added(entry, document.get("normalizer") is not None) for entry in given]
    contents = [one.content for one in found]
    if len(set(contents)) < len(contents):
        raise ValueError("an added token is there twice")
    if len({one.id for one in found}) < len(found):
        raise ValueError("two of its added tokens have the same number")
    _check_order([(entry.get("content"), bool(entry.get("normalized"))) for entry in given])
    taken = {place: text for text, place in numbers.items()}
    for one in found:
        if numbers.get(one.content, one.id) != one.id or taken.get(one.id, one.content) != one.content:
            raise ValueError(f"the added token {one.content!r} has another number than in the vocabulary")
    return tuple(found)


def _check_order(tokens: Sequence[tuple[str, bool]]) -> None:
    """Refuse tokens that overlap where the package looks for some of them first: those that are not normalized."""
    first, second = ([text for text, later in tokens if later is kind] for kind in (False, True))
    inside = ((a, b) for a in first for b in second if a in b or b in a)
    for a, b in (*islice(inside, 1), *islice(_joints(first, second), 1), *islice(_joints(second, first), 1)):
        raise ValueError(f"the added tokens {a!r} and {b!r} overlap, which edgekit does not do")


def _joints(ones: Sequence[str], others: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Pairs of which the first ends as the second begins."""
    heads = {text[:size]: text for text in others for size in range(1, len(text))}
    for text in ones:
        for start in range(1, len(text)):
            if text[start:] in heads:
                yield text, heads[text[start:]]


def _added(entry: Any, normalizes: bool) -> Special:
    if not isinstance(entry, Mapping):
        raise ValueError("an added token is not a table")
    content = token(entry.get("content"))
    for key in ("single_word", "rstrip", *(["normalized"] if normalizes else [])):
        if fields.flag(entry.get(key, key == "normalized"), key):
            raise ValueError(f"the added token {content!r} has {key} = true, which edgekit does not do")
    return Special(content, number(entry.get("id")), fields.flag(entry.get("lstrip", False), "lstrip"))


def _around(given: Any, numbers: Mapping[str, int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The tokens before and after a text."""
    if given is None:
        return (), ()
    kind = given.get("type") if isinstance(given, Mapping) else given
    if kind == "ByteLevel":  # only places in the text, which nobody asks for
        return (), ()
    if kind in ("BertProcessing", "RobertaProcessing"):
        return (_pair(given, "cls", numbers),), (_pair(given, "sep", numbers),)
    if kind != "TemplateProcessing":
        raise ValueError(
            f"its post_processor is {kind!r}; edgekit has TemplateProcessing, BertProcessing, RobertaProcessing and "
            "ByteLevel"
        )
    return _template(given)


def _pair(given: Table, key: str, numbers: Mapping[str, int]) -> int:
    value = given.get(key)
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(f"its post_processor has no {key}")
    return number(value[1])


def _template(given: Table) -> tuple[tuple[int, ...], tuple[int, ...]]:
    single, known = given.get("single"), given.get("special_tokens")
    if not isinstance(single, list) or len(single) > MOST_AROUND or not isinstance(known, Mapping):
        raise ValueError("its post_processor has no template for a single text")
    sides: list[list[int]] = [[]]
    for step in single:
        ((name, value),) = step.items() if isinstance(step, Mapping) and len(step) == 1 else [("", {})]
        if not isinstance(value, Mapping) or name not in ("Sequence", "SpecialToken"):
            raise ValueError("its template has an unknown step")
        if value.get("type_id", 0) != 0:
            raise ValueError("its template for a single text has a type_id that is not 0, which edgekit does not do")
        if name == "Sequence":
            sides.append([])
            continue
        text = value.get("id")
        entry = known.get(text) if isinstance(text, str) else None
        ids = entry.get("ids") if isinstance(entry, Mapping) else None
        if not isinstance(ids, list) or len(ids) > MOST_AROUND:
            raise ValueError(f"its template's token {text!r} is not among its special_tokens")
        sides[-1] += map(number, ids)
    if len(sides) != 2:
        raise ValueError("its template does not hold the text once")
    return tuple(sides[0]), tuple(sides[1])


def _check_direction(document: Table, key: str) -> None:
    given = document.get(key)
    if isinstance(given, Mapping) and given.get("direction", "Right") != "Right":
        raise ValueError(f"its {key} is on the left, which edgekit does not do")


def _pad(document: Table, numbers: Mapping[str, int]) -> int:
    """The token that fills: as its ``padding`` says, or the one that is called so; else 0."""
    _check_direction(document, "padding")
    given = document.get("padding")
    if isinstance(given, Mapping) and "pad_id" in given:
        return number(given["pad_id"])
    return next((numbers[text] for text in PADS if text in numbers), 0)
