"""What all commands share: options, progress display, printing."""

from __future__ import annotations

import errno
import functools
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.streams import say
from edgekit.files.documents import dumps
from edgekit.text.printable import MOST_IN_CELL, printable

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

SHOW_AFTER = 0.5
"""Seconds before a progress bar appears; quicker work shows none."""


@dataclass(frozen=True)
class Output:
    """How to communicate with the caller: JSON on stdout, or tables; progress and warnings on stderr."""

    json: bool
    verbose: int
    quiet: bool

    def progress(self) -> ConsoleProgress:
        """Return the display of the progress."""
        return ConsoleProgress(self)

    def emit(self, document: dict[str, Any]) -> None:
        """Print the JSON document."""
        click.echo(dumps(document))


def output_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--json``, ``-v``, ``-q`` and ``--debug``; the command receives an :class:`Output` as ``output``."""

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON document (docs/formats.md).")
    @click.option("-v", "--verbose", count=True, help="Report every step.")
    @click.option("-q", "--quiet", is_flag=True, help="Show no progress and no warnings.")
    @click.option("--debug", is_flag=True, help="Show the traceback of an error.")
    @functools.wraps(function)
    def wrapper(*args: Any, as_json: bool, verbose: int, quiet: bool, debug: bool, **kwargs: Any) -> Any:
        return function(*args, output=Output(as_json, verbose, quiet), **kwargs)

    return wrapper


threads_option = click.option(
    "--threads", default=1, show_default=True, type=click.IntRange(1, 256), help="Number of threads."
)
seed_option = click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(0, 2**31 - 1), help="Seed of all random choices."
)
trust_option = click.option(
    "--trust-model", "trust", is_flag=True, help="Run code contained in the model (Lambda layers)."
)
task_option = click.option(
    "--task", type=click.Path(path_type=Path), metavar="FILE",
    help="The network's task: how pictures become inputs, what outputs mean (docs/tasks.md); default: task.toml "
    "beside MODEL, if any.",
)  # fmt: skip
shape_option = click.option(
    "--shape", "shapes", multiple=True, metavar="[NAME=]1x3x224x224",
    help="Set the shape of an input that the model leaves open; repeatable.",
)  # fmt: skip
workers_option = click.option(
    "--workers", default="1", show_default=True, metavar="N|HOSTS",
    help="Train with N processes, or on these hosts: user@host[:port],...",
)  # fmt: skip


class ConsoleProgress:
    """Shows the current step on stderr: a bar on a terminal, lines with ``-v``. Every thread has its own bar."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._lock = threading.Lock()
        self._bars: Bars | None = None
        self._tasks: dict[int, TaskID] = {}
        self._said: set[str] = set()
        self._timer: threading.Timer | None = None
        self._current: dict[int, str] = {}

    def __enter__(self) -> ConsoleProgress:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            if self._timer:
                self._timer.cancel()
            if self._bars:
                self._bars.stop()
            self._bars, self._timer = None, None

    def step(self, name: str) -> None:
        """Show that a step begins."""
        if self._output.quiet:
            return
        if self._output.verbose and not sys.stderr.isatty():
            say(f"{name} ...", err=True)
        if not sys.stderr.isatty():
            return
        with self._lock:
            self._current[threading.get_ident()] = printable(name, MOST_IN_CELL)
            if self._bars is None and self._timer is None:
                self._timer = threading.Timer(SHOW_AFTER, self._begin)
                self._timer.daemon = True
                self._timer.start()
            self._show(threading.get_ident())

    def advance(self, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` parts of the current step are done."""
        with self._lock:
            task = self._tasks.get(threading.get_ident())
            if self._bars is not None and task is not None:
                self._bars.update(task, completed=done, total=total)

    def warn(self, message: str) -> None:
        """Print a warning, once."""
        self._say(f"warning: {message}")

    def note(self, message: str) -> None:
        """Print a note, once."""
        self._say(f"note: {message}")

    def _say(self, line: str) -> None:
        """Print a line once, above the bars."""
        with self._lock:
            if self._output.quiet or line in self._said:
                return
            self._said.add(line)
            if self._bars:
                self._bars.console.print(printable(line), markup=False, highlight=False, emoji=False)
            else:
                say(line, err=True)

    def _begin(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        with self._lock:
            if self._timer is None:
                return
            columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn()
            self._bars = Bars(*columns, console=Console(stderr=True), transient=True)
            self._bars.start()
            for thread in self._current:
                self._show(thread)

    def _show(self, thread: int) -> None:
        """Put the thread's current step on its bar; the caller holds the lock."""
        if self._bars is None:
            return
        if thread in self._tasks:
            self._bars.reset(self._tasks[thread], description=self._current[thread], total=None)
        else:
            self._tasks[thread] = self._bars.add_task(self._current[thread], total=None)


class Listing(click.Option):
    """An option whose help lists the available names, looked up when the help is printed.

    :param names: the replacement of ``{names}`` in the help.
    """

    def __init__(self, *args: Any, names: Callable[[], list[str]], **options: Any) -> None:
        super().__init__(*args, **options)
        self._names = names

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """The two columns of the help."""
        record = super().get_help_record(ctx)
        return record and (record[0], record[1].replace("{names}", ", ".join(self._names())))


def runner_names() -> list[str]:
    """The runners that are installed, and how devices are named."""
    from edgekit import plugins

    forms = {"ssh": "ssh://user@host[:port]", "adb": "adb[:SERIAL]", "serial": "serial:PORT[,BAUD]", "null": ""}
    return list(filter(None, (forms.get(name, name) for name in plugins.names("runners"))))


def recipe_names() -> list[str]:
    """The recipes that come with edgekit."""
    from edgekit.passes import recipe

    return recipe.names()


def backend_names() -> list[str]:
    """The backends that are installed."""
    from edgekit import plugins

    return sorted(plugins.names("backends"))


def metric_names() -> list[str]:
    """Return the metrics of tasks."""
    from edgekit.metrics.tasks import NAMES

    return list(NAMES)


def format_names() -> list[str]:
    """The build systems that the backend c99 writes libraries for."""
    from edgekit.bundle.handover import Format

    return list(Format)


def installer_names() -> list[str]:
    """What ``doctor --install`` can install."""
    from edgekit.api.installing import INSTALLERS

    return list(INSTALLERS)


on_option = click.option(
    "--on", metavar="WHERE", cls=Listing, names=runner_names,
    help="Where to run it: {names}; default: the target's emulator, otherwise this machine.",
)  # fmt: skip


def table(title: str, columns: list[str], rows: list[list[str]], *, right: tuple[int, ...] = ()) -> None:
    """Print a table on stdout; columns whose index is in ``right`` are right-aligned."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    made = Table(title=Text(printable(title), style="table.title"), title_justify="left", header_style="bold")
    for number, name in enumerate(columns):
        made.add_column(Text(printable(name)), justify="right" if number in right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(Text(printable(cell, MOST_IN_CELL)) for cell in row))

    class Stdout(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError(errno.EPIPE, "the reader of stdout is gone")

    # A pipe or a file has no width of its own: do not fold tables for it.
    Stdout(width=None if sys.stdout.isatty() else 140).print(made)


def size(nbytes: int) -> str:
    """Format bytes: ``98.5 kB``."""
    value = float(nbytes)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def count(number: int) -> str:
    """Format a count: ``12.5 M``."""
    value = float(number)
    for unit in ("", " k", " M"):
        if value < 1000:
            return f"{value:.0f}" if not unit else f"{value:.3g}{unit}"
        value /= 1000
    return f"{value:.3g} G"


def figure(value: float, low: float, high: float, unit: str) -> str:
    """Format a figure with its interval: ``1.77 ms (0.87 to 5.3)``."""
    return f"{value:.3g} {unit} ({low:.3g} to {high:.3g})"


def judged_line(judged: dict[str, Any]) -> str:
    """A metric before and after a recipe, in one line; ``judged``: its entry under ``metrics``."""
    after, drop = judged["after"], judged["drop"]
    return (
        f"{judged['name']} ({judged['samples']} samples): {judged['before']['value']:.4g} before, "
        f"{after['value']:.4g} compiled ({after['low']:.4g} to {after['high']:.4g}); "
        f"lost {drop['value']:.2g} ({drop['low']:.2g} to {drop['high']:.2g})"
    )
