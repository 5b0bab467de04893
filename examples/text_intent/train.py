"""A tokenizer and a small transformer encoder, trained to tell what a sentence wants.

``train.py FOLDER`` writes ``tokenizer.json`` and ``intent.keras`` there.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import intents
import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

LENGTH, WIDTH, HEADS, TOKENS = 24, 32, 2, 400
MARKS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
Array = NDArray[Any]


def tokenizer(texts: Sequence[str]) -> Tokenizer:
    """A WordPiece tokenizer of BERT's kind, with a vocabulary made of these texts."""
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=TOKENS, special_tokens=list(MARKS)))
    cls, sep = (made.token_to_id(mark) for mark in ("[CLS]", "[SEP]"))
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", cls), ("[SEP]", sep)]
    )
    made.enable_truncation(LENGTH)
    made.enable_padding(length=LENGTH, pad_token="[PAD]")
    return made


def network(keras: Any, tokens: int) -> Any:
    """One layer of a transformer: each token looks at all others that are none of the filling."""
    layers = keras.layers
    ids = layers.Input((LENGTH,), batch_size=1, dtype="int32", name="input_ids")
    mask = layers.Input((LENGTH,), batch_size=1, dtype="int32", name="attention_mask")
    x = layers.Embedding(tokens, WIDTH, name="words")(ids)
    x = layers.Add()([x, layers.Embedding(LENGTH, WIDTH, name="places")(np.arange(LENGTH)[None])])
    present = layers.Rescaling(1.0)(mask)  # as real numbers
    hidden = layers.Reshape((1, 1, LENGTH))(layers.Rescaling(20.0, offset=-20.0)(present))

    def heads(y: Any) -> Any:
        return layers.Permute((2, 1, 3))(layers.Reshape((LENGTH, HEADS, WIDTH // HEADS))(layers.Dense(WIDTH)(y)))

    query, key, value = heads(x), heads(x), heads(x)
    scores = keras.ops.matmul(query, keras.ops.transpose(key, (0, 1, 3, 2))) / (WIDTH // HEADS) ** 0.5
    seen = keras.ops.matmul(layers.Softmax()(scores + hidden), value)
    seen = layers.Dense(WIDTH)(layers.Reshape((LENGTH, WIDTH))(layers.Permute((2, 1, 3))(seen)))
    x = layers.LayerNormalization()(layers.Add()([x, seen]))
    more = layers.Dense(WIDTH)(layers.Dense(2 * WIDTH, activation="relu")(x))
    x = layers.LayerNormalization()(layers.Add()([x, more]))
    first = x[:, 0]  # [CLS] stands for the sentence
    return keras.Model([ids, mask], layers.Dense(len(intents.INTENTS), name="intent")(first))


def trained(keras: Any, ids: Array, mask: Array, wanted: Array, tokens: int, epochs: int = 12) -> Any:
    """The network, trained."""
    keras.utils.set_random_seed(1)
    model = network(keras, tokens)
    inputs = [keras.Input((LENGTH,), dtype="int32") for _ in range(2)]
    training = keras.Model(inputs, model(inputs))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    training.compile(keras.optimizers.Adam(3e-3), loss, metrics=["accuracy"])
    training.fit([ids, mask], wanted, batch_size=64, epochs=epochs, verbose=2)
    model.set_weights(training.get_weights())
    return model


def main(folder: str) -> None:
    """Train both."""
    import keras

    said = intents.sentences(6000, "train", seed=1)
    texts = [one.text for one in said]
    words = tokenizer(texts)
    words.save(str(Path(folder) / "tokenizer.json"))
    encoded = words.encode_batch(texts)
    ids, mask = (np.array([getattr(one, key) for one in encoded], np.int32) for key in ("ids", "attention_mask"))
    wanted = np.array([one.intent for one in said])
    trained(keras, ids, mask, wanted, words.get_vocab_size()).save(Path(folder) / "intent.keras")


if __name__ == "__main__":
    main(sys.argv[1])
