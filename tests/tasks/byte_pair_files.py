"""Byte-level tokenizers for tests, made by the package ``tokenizers``."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

TEXT = (
    "Turn the kitchen lights on, please! What's the weather like in Zürich tomorrow? I'm 3.5€ short, we'll see… "
    "naïve café, they've got 1234 items and he'd said it isn't. 中文字符 한국어 문장입니다. Привет, как дела? 😀😃\n\n"
    "def f(x):\n    return x  # two spaces\n\tindented\n"
)


@cache
def _trained(size: int, space: bool) -> str:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=space)
    marks = ["<s>", "<pad>", "</s>", "<unk>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=marks, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator([TEXT] * 4, trainer)
    made.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return str(made.to_str())


def roberta(space: bool = False, size: int = 450) -> dict[str, Any]:
    """The document of a ``tokenizer.json`` as RoBERTa has it: ``<mask>`` takes the space before it along."""
    from tokenizers import AddedToken, Tokenizer

    made = Tokenizer.from_str(_trained(size, space))
    made.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True, normalized=False)])
    document: dict[str, Any] = json.loads(made.to_str())
    return document
