"""Nothing that a stranger wrote acts on the terminal: names, program output, board messages, errors, tracebacks."""

from __future__ import annotations

import ast
import io
import re
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest

import edgekit
from edgekit import cli
from edgekit.cli import common
from edgekit.errors import DeviceError
from edgekit.graph import tflite
from edgekit.text.printable import MOST, MOST_IN_CELL, guard, printable
from tests.networks.small import dense

EVIL = "\x1b]0;title\x07\x1b[2Jx\r\x08\x9b31m\x7f\u202egnp\u2066\ninjected"
MARKUP = "[bold red]loud[/bold red]:smile:[link=https://example.com]"
_ACTS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029]")


def harmless(text: str) -> bool:
    """Nothing in it but letters and ends of lines, none of which a stranger wrote."""
    return not _ACTS.search(text) and "\ninjected" not in text


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A network whose names are hostile, in a file whose name is, too."""
    graph = dense(np.ones((4, 8), np.float32), np.zeros(4, np.float32))
    for number, tensor in enumerate(graph.tensors):
        tensor.name = f"{number}{EVIL}{MARKUP}"
    graph.notes.append(f"a note {EVIL}{MARKUP}")
    path = tmp_path / f"{MARKUP.replace('/', '')}\x1b[2J\u202e.tflite"
    tflite.write(graph, path)
    return path


def run(*arguments: object) -> int:
    return cli.invoke([str(argument) for argument in arguments])


def test_control_characters_are_escaped_and_letters_stay() -> None:
    for code in [*range(0x20), *range(0x7F, 0xA0), 0x202E, 0x2066, 0x200F, 0x2028, 0xD800, 0xDC9B]:
        shown = printable(f"a{chr(code)}b")
        assert shown != f"a{chr(code)}b"
        assert shown.isascii() and shown.isprintable(), hex(code)
    assert printable("Grüße 神経 µs \udcff [bold] 100 %") == "Grüße 神経 µs \udcff [bold] 100 %"
    smuggled = printable("\udcc2\udc9b31m").encode("utf-8", "surrogateescape")
    assert b"\x9b" not in smuggled


def test_long_names_are_shortened_in_the_middle() -> None:
    shown = printable("a" * 500_000 + "z" * 500_000)
    assert shown.startswith("aaa") and shown.endswith("zzz") and len(shown) < MOST + 100


def test_inspect_and_compile(model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("inspect", model, "-t", "rpi4", "-v") == 0
    assert run("compile", model, "-t", "host", "-o", tmp_path / "out", "-v") == 0
    bundle = next((tmp_path / "out").iterdir())
    for verb in ("run", "verify", "profile", "compare"):
        assert run(verb, bundle, "-v") == 0
    seen = capfd.readouterr()
    assert harmless(seen.out), repr(_ACTS.findall(seen.out))
    assert harmless(seen.err)
    assert "\\x1b" in seen.out
    assert "[bold red]loud[/bold red]:smile:" in seen.out.replace("\n", "")


def test_a_name_of_a_megabyte(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    graph = dense(np.ones((4, 8), np.float32), np.zeros(4, np.float32))
    graph.inputs[0].name = "n" * (1 << 20)
    graph.outputs[0].name = "m" * (1 << 20)
    tflite.write(graph, tmp_path / "net.tflite")
    assert run("inspect", tmp_path / "net.tflite") == 0
    assert len(capfd.readouterr().out) < 20 * MOST_IN_CELL


@pytest.mark.parametrize("debug", [[], ["--debug"]])
def test_errors(tmp_path: Path, capfd: pytest.CaptureFixture[str], debug: list[str]) -> None:
    assert run("inspect", tmp_path / f"{EVIL}.tflite", *debug) == 3
    assert run("inspect", "model.tflite", f"--{EVIL}", *debug) == 2
    assert run(EVIL, *debug) == 2
    seen = capfd.readouterr()
    assert harmless(seen.err) or (debug and not _ACTS.search(seen.err))
    assert "\\x1b" in seen.err


@pytest.mark.parametrize("debug", [[], ["--debug"]])
@pytest.mark.parametrize("error", [RuntimeError(EVIL), DeviceError(EVIL, EVIL), OSError(5, EVIL, EVIL)])
def test_what_a_program_or_a_board_said(
    model: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, error: Exception, debug: list[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("edgekit.api.inspect.inspect", fail)
    assert run("inspect", model, *debug) in (1, 2, 6)
    seen = capfd.readouterr().err
    assert not _ACTS.search(seen)
    assert "\\x1b" in seen


def test_progress_lines_and_bars(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    progress = common.Output(False, 1, False).progress()
    progress.warn(EVIL)
    progress.note(EVIL)
    progress.step(EVIL)
    assert harmless(capfd.readouterr().err)
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(common, "SHOW_AFTER", 0.0)
    with common.Output(False, 1, False).progress() as bars:
        bars.step(MARKUP + EVIL)
        for _ in range(100):
            if bars._bars is not None:
                break
            threading.Event().wait(0.05)
        assert bars._bars is not None
        bars.warn(MARKUP + EVIL)
        bars._bars.refresh()
    seen = terminal.getvalue()
    assert "[bold red]loud" in seen
    assert "\x1b]" not in seen and "\x1b[2J" not in seen and "\u202e" not in seen and "\x9b" not in seen


def test_warnings_and_errors_of_threads() -> None:
    before = warnings.showwarning, sys.excepthook, threading.excepthook
    seen: list[str] = []
    guard(seen.append)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning(UserWarning(EVIL), UserWarning, "x.py", 1)

        def fail() -> None:
            raise RuntimeError(EVIL)

        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()
    finally:
        warnings.showwarning, sys.excepthook, threading.excepthook = before
    assert sum("\\x1b" in line for line in seen) == 2
    assert not any(_ACTS.search(line) for line in seen)


def test_there_is_one_way_to_the_terminal() -> None:
    """Only JSON and `say` print; a new `print` or `click.echo` would go round it."""
    found = set()
    package = Path(edgekit.__file__).parent
    for path in package.rglob("*.py"):
        if path.parent == package / "sandbox":  # what a child prints goes into a pipe
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if called in ("print", "click.echo", "click.secho") or re.search(r"std(out|err)\.write$", called):
                    found.add((path.name, ast.unparse(node)))
    assert found == {
        ("common.py", "click.echo(dumps(document))"),
        ("streams.py", "click.echo(printable(line), err=err)"),
    }
