"""Fine-tuning: further training of the network on samples, whatever file it came from.

The Graph itself is trained (:mod:`edgekit.training`), in child processes with TensorFlow, on the labels, or without
labels on what the network computed before it was compressed. After ``prune`` or ``low_rank`` it wins accuracy back;
zeros that ``sparsify`` made stay zero.
"""

from __future__ import annotations

from edgekit.errors import UsageError
from edgekit.graph import Graph, tflite
from edgekit.passes import PassContext, Passed
from edgekit.passes.trained import TrainedReport
from edgekit.training import job
from edgekit.training.settings import Training, parse


class Finetune:
    """The pass ``finetune``; its parameters are those of :class:`edgekit.training.settings.Training`."""

    name = "finetune"

    def apply(self, graph: Graph, context: PassContext) -> Passed:
        """Return the trained Graph; deterministic for a seed.

        :raises UsageError: on wrong parameters, or samples that cannot teach.
        :raises ModelError: if the Graph is quantized, has an operator that cannot be trained, or training diverges.
        :raises ToolMissing: without TensorFlow.
        """
        settings = parse(Training, context.params, self.name)
        graph, share, teacher = job.taught(graph, context, settings, "fine-tuning")
        if teacher is not None and tflite.dumps(teacher) == tflite.dumps(graph):
            raise UsageError(
                "fine-tuning a network that no pass has changed needs labelled samples",
                "pass --data FILE.npz with x and y",
            )
        trained = job.train(job.Job(graph, settings, share, teacher), context, "fine-tune")
        return Passed(trained.graph, TrainedReport(trained.history))
