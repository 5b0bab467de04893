"""Training of any float Graph: :mod:`~edgekit.training.trainable` makes it a differentiable function.

TensorFlow is imported when a :class:`~edgekit.training.trainable.Trainable` is made, which happens in a child only.
"""
