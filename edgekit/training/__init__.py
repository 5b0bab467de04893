"""Training any float Graph: :mod:`~edgekit.training.trainable` makes a differentiable function of it.

TensorFlow is imported when a :class:`~edgekit.training.trainable.Trainable` is made, which happens in a child only.
"""
