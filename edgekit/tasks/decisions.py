"""From a network's outputs to decisions, in its task's own terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from edgekit.files.documents import dumps
from edgekit.tasks.anomaly import Anomaly, Score
from edgekit.tasks.parts import Outcome, Sample
from edgekit.tasks.task import Task
from edgekit.tasks.transcriber import Transcriber, Transcript

if TYPE_CHECKING:
    from edgekit.graph import Graph


@dataclass(frozen=True)
class Decision:
    """What a network with a task decides about a sample, which is called ``sample``."""

    sample: str
    outcome: Outcome

    def json(self) -> dict[str, Any]:
        """Its entry in the JSON of ``run``."""
        return {"sample": self.sample, **self.outcome.json()}

    def line(self) -> str:
        """The line of ``--decisions``, with its end."""
        return dumps(self.json(), indent=None) + "\n"


def decide(task: Task, sample: Sample, outputs: Sequence[NDArray[Any]], graph: Graph) -> Decision:
    """What ``task`` makes of the outputs of a sample, which are in the tensors' dtypes."""
    return Decision(sample.name, task.decider.decide(sample, outputs, graph, task.source))


def of_recordings(task: Task, decisions: Sequence[Decision], recordings: Sequence[int]) -> list[Decision]:
    """Decisions on recordings instead of their clips, where the task averages or joins them; else as they are.

    :param recordings: the number of each decision's recording, in their order.
    """
    if not isinstance(task.decider, Anomaly | Transcriber):
        return list(decisions)
    made = []
    for _, group in groupby(zip(recordings, decisions, strict=True), key=lambda pair: pair[0]):
        clips = [decision for _, decision in group]
        made.append(Decision(clips[0].sample, _of_clips(task.decider, [clip.outcome for clip in clips])))
    return made


def _of_clips(decider: Anomaly | Transcriber, clips: Sequence[Outcome]) -> Outcome:
    if isinstance(decider, Anomaly):
        return decider.judged([clip.score for clip in clips if isinstance(clip, Score)])
    return decider.joined([clip for clip in clips if isinstance(clip, Transcript)])
