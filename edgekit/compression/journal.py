"""The journal of a search: Optuna's record of trials, which survives kills and damage."""

from __future__ import annotations

import fcntl
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from edgekit.compression.candidates import Candidate
from edgekit.compression.search import Goal
from edgekit.errors import UsageError
from edgekit.progress import Progress

if TYPE_CHECKING:
    from optuna import Study


@contextmanager
def opened(path: Path, goal: Goal, fresh: bool, progress: Progress) -> Iterator[Study]:
    """Open (or begin) the study kept in ``path``, for one process at a time.

    :raises UsageError: if another process has it open.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with path.with_name(path.name + ".running").open("w") as lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError("the same search is already running", "wait for it, or use another --seed") from None
        if fresh:
            path.unlink(missing_ok=True)
        _whole_lines(path)
        yield _study(path, goal, progress)


def _study(path: Path, goal: Goal, progress: Progress) -> Study:
    """Read the journal's study, or start a new one; a journal that cannot be read is discarded."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend
    from optuna.study import StudyDirection

    class Held:
        """No lock of Optuna's: :func:`opened` holds one, and Ctrl-C between the steps of Optuna's is an error."""

        def acquire(self) -> bool:
            return True

        def release(self) -> None:
            pass

    def study() -> Study:
        made = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(path), lock_obj=cast(Any, Held()))), study_name="compress",
            directions=[StudyDirection.MINIMIZE] * (1 + len(goal.costs)), load_if_exists=True,
        )  # fmt: skip
        for trial in made.trials:
            if "outcome" in trial.user_attrs and "failed" not in trial.user_attrs["outcome"]:
                goal.values(Candidate.read(trial.user_attrs["outcome"]))
        return made

    try:
        return study()
    except Exception as error:  # whatever Optuna makes of a file that is not what it wrote
        progress.warn(f"the journal of an earlier search is damaged ({type(error).__name__}): starting again")
        path.unlink(missing_ok=True)
        return study()


def _whole_lines(path: Path) -> None:
    """Cut off a last line that a killed process did not finish."""
    if path.is_file():
        data = path.read_bytes()
        end = data.rfind(b"\n") + 1
        if end < len(data):
            path.write_bytes(data[:end])
