"""The command line. Each command has a module in this folder, which is imported only when the command is called.

The module defines ``command``, a Click command, which parses, calls the API, and prints.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from importlib import import_module
from typing import Any

import click

from edgekit import __version__
from edgekit.cli import streams
from edgekit.errors import EdgekitError, UsageError
from edgekit.text.printable import guard

VERBS = {  # name: (module, short help); kept here so that `edgekit --help` imports no verb
    "targets": ("targets", "List the boards that edgekit knows."),
    "recipes": ("recipes", "List the recipes that come with edgekit, and what they need."),
    "inspect": ("inspect", "Show a model's operators, its cost, and where it can run."),
    "compile": ("compile", "Compile a model into a proven bundle for each target."),
    "compress": ("compress", "Search for recipes that meet budgets of size, latency, energy and accuracy."),
    "diagnose": ("diagnose", "Explain why a quantized network loses accuracy, and fix it."),
    "tune": ("tune", "Search for faster kernels for a network compiled with TVM."),
    "verify": ("verify", "Check that a bundle is intact and computes what the network computes."),
    "run": ("run", "Run a bundle on this machine, in an emulator, or on a device."),
    "profile": ("profile", "Show latency, energy and memory, in total and per operator."),
    "calibrate": ("calibrate", "Fit the estimates to your own board, by measuring a few small networks on it."),
    "package": ("package", "Package a bundle for CMake, Python or Debian, with the runtime library."),
    "compare": ("compare", "Compare bundles; mark the fastest, the smallest and the most frugal."),
    "doctor": ("doctor", "Show which tools are installed, and how to get the missing ones."),
}
INTERRUPTED = 130


class LazyGroup(click.Group):
    """Finds commands in :data:`VERBS` and imports only the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of the help."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None if there is none by that name."""
        if cmd_name not in VERBS:
            return None
        command: click.Command = import_module(f"edgekit.cli.{VERBS[cmd_name][0]}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Refuse an unknown command and suggest the nearest."""
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            from edgekit.plugins import nearest

            raise click.UsageError(f"there is no command {args[0]!r}; {nearest(args[0], VERBS)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with their short help, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in VERBS.items()])


def _without_sandbox(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        os.environ["EDGEKIT_NO_SANDBOX"] = "1"  # edgekit.sandbox.WITHOUT; children of this process are told, too


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
             epilog="Start with: edgekit compile model.tflite --target rpi4")  # fmt: skip
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
@click.option("--no-sandbox", is_flag=True, expose_value=False, callback=_without_sandbox,
              help="Run child processes even if their sandbox is incomplete: for files that you trust.")  # fmt: skip
@click.version_option(__version__, prog_name="edgekit")
def group() -> None:
    """From a trained model to proven, profiled artifacts on every edge target you own."""


def main(args: list[str] | None = None) -> None:
    """Run the command line and exit; ``args`` default to ``sys.argv[1:]``."""
    if not streams.prepare():
        _complain("stdout is closed, so nothing can be printed", "to discard the output: >/dev/null")
        sys.exit(UsageError.exit_code)
    guard(lambda line: streams.say(line, err=True))
    sys.exit(invoke(sys.argv[1:] if args is None else args))


def invoke(args: list[str]) -> int:
    """Run one command line and return its exit code (docs/formats.md lists them)."""
    debug = "--debug" in args
    previous = _end_like_ctrl_c()
    try:
        group.main(args=args, prog_name="edgekit", standalone_mode=False)
        if error := streams.flush():
            raise error
    except EdgekitError as error:
        return _failed(error, debug)
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.ClickException as error:
        _complain(" ".join(error.format_message().split()), "see: " + _help_of(error))
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return _interrupted()
    except OSError as error:
        return _refused(error, debug)
    except SystemExit:  # where a pipe breaks, Click ends by itself
        return _refused(BrokenPipeError(errno.EPIPE, "a pipe broke"), debug)
    except Exception as error:
        if isinstance(error.__cause__, KeyboardInterrupt):  # Python wraps it where a class was being made (3.11)
            return _interrupted()
        if debug:
            _show_traceback()
        _complain(f"a bug in edgekit: {type(error).__name__}: {error}", "please report it with the output of --debug")
        return 1
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    return 0


def _interrupted() -> int:
    _stop_children()
    _complain("interrupted; nothing half-written was left behind", "")
    return INTERRUPTED


def _refused(error: OSError, debug: bool) -> int:
    """Report what the operating system refused and what to do; if the reader of our output is gone, end quietly."""
    if isinstance(error, BrokenPipeError) and streams.reader_gone():
        streams.discard()
        return 0
    streams.discard()
    from edgekit.text.system import explained

    return _failed(explained(error), debug)


def _failed(error: EdgekitError, debug: bool) -> int:
    if debug:
        _show_traceback()
    _complain(error.message, error.hint)
    return error.exit_code


def _complain(message: str, hint: str) -> None:
    streams.say(f"error: {message}", err=True)
    if hint:
        streams.say(f"       {hint}", err=True)


def _show_traceback() -> None:
    import traceback

    for line in traceback.format_exc().rstrip("\n").split("\n"):
        streams.say(line, err=True)


def _help_of(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f"{context.command_path if context else 'edgekit'} --help"


def _end_like_ctrl_c() -> dict[int, Any]:
    """Let SIGTERM and SIGHUP end the process as Ctrl-C does, so that temporary folders are removed."""

    def stop(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    try:
        return {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    except ValueError:  # not the main thread: the caller handles signals
        return {}


def _stop_children() -> None:
    if "edgekit.sandbox" in sys.modules:
        sys.modules["edgekit.sandbox"].stop_all()
