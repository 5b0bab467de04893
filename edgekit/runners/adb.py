"""The adb runner: runs a bundle's native program on an Android phone, and brings back outputs and times.

``--on adb:SERIAL``, or ``--on adb`` where only one is connected. The bundle is one of the backend ``android``: its
program is linked statically, since Android's own C library takes no other one's programs.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgekit.backends.runner_build import native_arch
from edgekit.bundle.execution import PROGRAM, Kind
from edgekit.bundle.samples import pack, samples_in
from edgekit.errors import DeviceError, UsageError
from edgekit.files import left_behind
from edgekit.progress import Silent
from edgekit.runners import Run, RunOptions
from edgekit.runners.linux import process as runner
from edgekit.runners.linux import program as programs
from edgekit.transport.adb import Phone

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.bundle import Bundle

RUN_SECONDS, ASK_SECONDS = 900.0, 10.0
APP = "the bundle's app runs the network with LiteRT instead (docs/phones.md); report this to edgekit"
_CANNOT_EXECUTE = (126, 127)


@dataclass(frozen=True)
class AdbRunner:
    """Runs bundles on a phone."""

    serial: str = ""
    name: str = "adb"

    def at(self, address: str) -> AdbRunner:
        """The runner for the phone with this serial.

        :raises UsageError: if that is none.
        """
        if not address or any(c.isspace() or not c.isprintable() for c in address):
            raise UsageError(f"{address!r} is no serial of a device", "`adb devices` lists them")
        return AdbRunner(address)

    def run(self, bundle: Bundle, inputs: Sequence[NDArray[Any]], options: RunOptions) -> Run:
        """See :class:`edgekit.runners.Runner`. Whatever happens, nothing is left on the phone.

        :raises DeviceError: one line on what failed: the server, the phone, or the run.
        """
        progress = options.progress or Silent()
        samples = samples_in(inputs)
        program = _native(bundle)
        with Phone(self.serial) as phone:
            _check_arch(phone, bundle)
            progress.step(f"copy to {phone.name}")
            for name, path in program.files(bundle).items():
                phone.push(name, path.read_bytes(), 0o755)
            phone.push(runner.INPUTS, pack(inputs), 0o644)
            progress.step(f"run on {phone.name}")
            command = [f"./{PROGRAM}", *runner.arguments(samples, options)]
            script = f'sh -c \'echo $$ >pid; exec "$0" "$@"\' {shlex.join(command)}; s=$?; rm -f pid; exit $s'
            done = phone.run(script, seconds=RUN_SECONDS)
            if done.returncode in _CANNOT_EXECUTE:
                last = (done.text.strip().splitlines() or ["no message"])[-1]
                raise DeviceError(f"{phone.name} cannot run edgekit-run: {last[:160]}", "is it a 64-bit Android?")
            if done.returncode != 0:
                error = runner.failure(done.returncode, done.text, phone.name, program)
                raise type(error)(error.message, APP if isinstance(error, DeviceError) else error.hint)
            expected = samples * sum(tensor.nbytes for tensor in bundle.graph.outputs)
            outputs = runner.unpack(phone.pull(runner.OUTPUTS, expected + 1), bundle.graph, samples)
            text = phone.pull(runner.TRACE, left_behind.MOST_JSON).decode(errors="replace")
            model = phone.run("getprop ro.product.model", seconds=ASK_SECONDS).stdout.decode(errors="replace").strip()
        trace, conditions = runner.parse_trace(text, bundle.graph, "device")
        return Run(outputs, trace, {**conditions, "device": model or phone.name})


def _native(bundle: Bundle) -> programs.Program:
    """The bundle's statically linked program."""
    program = programs.of(bundle)
    if bundle.execution.kind is not Kind.PROGRAM:
        raise DeviceError(
            "the bundle has no native program for Android", "compile it for android-arm64; docs/phones.md says for what"
        )
    for name, path in program.files(bundle).items():
        if not path.is_file():
            raise DeviceError(f"the bundle has no artifact/{name}", "compile it again")
    return program


def _check_arch(phone: Phone, bundle: Bundle) -> None:
    wanted = native_arch(bundle.target.arch)
    if phone.arch != wanted:
        raise DeviceError(
            f"{phone.name} is {phone.arch}, but the bundle is for {wanted} ({bundle.target.name})",
            "use a phone with a 64-bit Arm processor and system",
        )
