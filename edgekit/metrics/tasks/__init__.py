"""Metrics of tasks: how well a network's outputs fit the truth, and how sure that is.

A metric turns outputs and truth into a :class:`~edgekit.metrics.tasks.tally.Tally`, which holds what each sample
contributes. From that come the value, its 95 % interval, and the interval of the difference between two networks that
saw the same samples.
"""

NAMES = (
    "top1", "top5", "f1", "auc", "mae", "rmse", "miou", "ndcg", "hit-rate", "recall@1", "verification-auc", "ap50",
    "ap50-95", "wer", "cer",
)  # fmt: skip
"""What ``--metric`` knows; :mod:`edgekit.metrics.tasks.registry` has what is behind them."""
