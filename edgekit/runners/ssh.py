"""The ssh runner: copies a bundle to a board, runs it there, and brings back outputs, times and measured power.

``--on ssh://user@host[:port]``. The board needs a shell, tar, and for the C runner a C library that loads LiteRT;
where it has an older one, Python with ai-edge-litert or tflite-runtime serves (no times of single operators then).
"""

from __future__ import annotations

import io
import shlex
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgekit.backends.runner_build import native_arch
from edgekit.bundle.execution import MODEL, PROGRAM
from edgekit.bundle.samples import pack, samples_in
from edgekit.errors import DeviceError, UsageError
from edgekit.files import left_behind
from edgekit.progress import Silent
from edgekit.runners import Run, RunOptions
from edgekit.runners.linux import process as runner
from edgekit.runners.linux import program as programs
from edgekit.runners.linux.program import SCRIPT, Program
from edgekit.transport.ssh import MOST_OUTPUT, Address, Connection

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.bundle import Bundle

RUN_SECONDS = 900.0
COPY_SECONDS = 600.0
_CANNOT_EXECUTE = (126, 127)


@dataclass(frozen=True)
class SshRunner:
    """Runs bundles on a board."""

    address: Address | None = None
    name: str = "ssh"

    def at(self, address: str) -> SshRunner:
        """The runner for the board at ``//user@host:port``."""
        return SshRunner(Address.parse(address))

    def run(self, bundle: Bundle, inputs: Sequence[NDArray[Any]], options: RunOptions) -> Run:
        """See :class:`edgekit.runners.Runner`. Whatever happens, nothing is left on the board.

        :raises DeviceError: one line on what failed: the connection, the board, or the run.
        :raises ModelError: if LiteRT refuses the model there.
        """
        if self.address is None:
            raise UsageError("ssh needs the board's address", "write --on ssh://user@host")
        progress = options.progress or Silent()
        samples = samples_in(inputs)
        program = programs.of(bundle)
        progress.step(f"connect to {self.address.shown}")
        with Connection(self.address) as board:
            _check_arch(board, bundle)
            progress.step(f"copy to {self.address.shown}")
            _upload(board, _archive(bundle, program, pack(inputs)))
            progress.step(f"run on {self.address.shown}")
            _execute(board, program, runner.arguments(samples, options))
            expected = samples * sum(tensor.nbytes for tensor in bundle.graph.outputs)
            results = _download(board, expected)
        outputs = runner.unpack(results[runner.OUTPUTS], bundle.graph, samples)
        text = results[runner.TRACE].decode(errors="replace")
        trace, conditions = runner.parse_trace(text, bundle.graph, "device")
        return Run(outputs, trace, {**conditions, "device": self.address.name})


def _check_arch(board: Connection, bundle: Bundle) -> None:
    wanted = native_arch(bundle.target.arch)
    if board.arch != wanted:
        raise DeviceError(
            f"{board.address.shown} is {board.arch}, but the bundle is for {wanted} ({bundle.target.name})",
            "compile for a target with the board's processor (a 32-bit system on a 64-bit board does not do)",
        )


def _archive(bundle: Bundle, program: Program, packed: bytes) -> bytes:
    """What the board needs, as a tar file."""
    buffer = io.BytesIO()
    files = program.files(bundle)
    if not program.compiled:
        files[SCRIPT] = bundle.artifact / SCRIPT
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, path in files.items():
            if not path.is_file():
                where = path.relative_to(bundle.path)
                raise DeviceError(f"the bundle has no {where}", "compile it again, with a backend for Linux")
            _add(tar, name, path.read_bytes(), 0o700 if name in (PROGRAM, SCRIPT) else 0o600)
        _add(tar, runner.INPUTS, packed, 0o600)
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, name: str, data: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), mode
    tar.addfile(entry, io.BytesIO(data))


def _upload(board: Connection, archive: bytes) -> None:
    done = board.run("tar -xf -", data=archive, seconds=COPY_SECONDS)
    if done.returncode != 0:
        text = done.stderr.decode(errors="replace")
        if "No space left" in text or "Disk quota" in text:
            raise DeviceError(
                f"{board.address.shown} has no space for the bundle ({len(archive) >> 20} MiB) in {board.folder}",
                "free some, or set TMPDIR there to a folder on a larger disk",
            )
        raise DeviceError(f"cannot copy the bundle to {board.address.shown}: {_brief(text)}")


def _execute(board: Connection, program: Program, arguments: list[str]) -> None:
    """Run the C runner, or where the system cannot load it or LiteRT, the Python one."""
    given = program.arguments(f"./{program.library}", MODEL)
    first = _start(board, [f"./{PROGRAM}", *given, *arguments])
    if first is None:
        return
    status, text = first
    if status not in _CANNOT_EXECUTE and not any(s in text for s in ("GLIBC", "CXXABI", "cannot load the library")):
        raise runner.failure(status, text, board.address.shown, program)
    if "Permission denied" in text and status == _CANNOT_EXECUTE[0] and program.compiled:
        raise DeviceError(
            f"{board.address.shown} may start no programs in {board.folder}",
            "set TMPDIR in the start-up file of its shell to a folder that is not mounted noexec",
        )
    if program.compiled:
        raise DeviceError(
            f"{board.address.shown} cannot run edgekit-run: {_brief(text)}",
            "use a 64-bit system with glibc 2.34 or later (Raspberry Pi OS bookworm)",
        )
    second = _start(board, ["python3", SCRIPT, "--python", "--model", MODEL, *arguments])
    if second is not None:
        raise DeviceError(
            f"{board.address.shown} can run neither edgekit-run ({_brief(text)}) nor run.py ({_brief(second[1])})",
            "use a 64-bit system with glibc 2.34 or later (Raspberry Pi OS bookworm), or install ai-edge-litert there",
        )


def _start(board: Connection, command: list[str]) -> tuple[int, str] | None:
    """Run a program on the board; None if it succeeded, else its status and messages."""
    script = f'sh -c \'echo $$ >pid; exec "$0" "$@"\' {shlex.join(command)}; s=$?; rm -f pid; exit $s'
    done = board.run(script, seconds=RUN_SECONDS)
    return (done.returncode, (done.stderr + done.stdout).decode(errors="replace")) if done.returncode else None


def _download(board: Connection, expected: int) -> dict[str, bytes]:
    """The files of outputs, which has ``expected`` bytes, and of the trace."""
    most = {runner.OUTPUTS: expected, runner.TRACE: left_behind.MOST_JSON}
    whole = sum(most.values()) + MOST_OUTPUT
    done = board.run(f"tar -cf - {runner.OUTPUTS} {runner.TRACE}", seconds=COPY_SECONDS, most=whole)
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(done.stdout), mode="r:") as tar:
            for entry in tar:
                if entry.name == runner.OUTPUTS and entry.size > expected:
                    raise runner.too_long(entry.size, expected)
                if entry.isreg() and entry.size <= most.get(entry.name, -1):
                    file = tar.extractfile(entry)
                    found[entry.name] = file.read() if file else b""
    except (tarfile.TarError, ValueError, OverflowError, EOFError) as error:
        raise DeviceError(f"{board.address.shown} sent damaged results: {error}", "try again") from error
    if len(found) != 2:
        raise DeviceError(f"{board.address.shown} sent no results: {_brief(done.stderr.decode(errors='replace'))}")
    return found


def _brief(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:160] if lines else "no message"
