"""Workers on other machines, each reached by ssh: a :mod:`node <edgekit.training.workers.node>` at the other end."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from edgekit import sandbox
from edgekit.errors import DeviceError, ToolMissing
from edgekit.text.logs import last_line
from edgekit.training import checkpoint
from edgekit.training.workers import node, processes, versions
from edgekit.training.workers.frames import BEAT, SILENCE, Channel, Ended, Frame, pack, unpack
from edgekit.training.workers.processes import Answer, Listener
from edgekit.transport.ssh import FORWARDING, Address, SshConnection

START_SECONDS = 40.0
"""For Python to start there, and for the workers to try one another; with ssh's own time still below ``SILENCE``."""
NODE = "edgekit.training.workers.node"


class Host:
    """A worker on a machine that ssh reaches. Open it; close it, whatever happens."""

    def __init__(self, address: Address, index: int) -> None:
        self.place, self.index, self.folder = address.shown, index, ""
        self.address = processes.address(processes.FIRST_PORT + index)
        self._connection = SshConnection(address)
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._stopped = False
        self._log = tempfile.TemporaryFile()  # noqa: SIM115

    def open(self) -> None:
        """Connect, and start the worker.

        :raises DeviceError: if the host cannot be reached. :raises ToolMissing: if it lacks what is needed.
        """
        self._connection.open()
        if self._stopped:
            raise self._lost()
        script = f"echo $$ >pid; exec {_python()} -P -m {NODE}"
        self._process = process = self._connection.start(script, self._log)
        assert process.stdin and process.stdout
        self._channel = Channel(process.stdout.fileno(), process.stdin.fileno())
        if self._stopped:  # while it was started
            self.stop()
        said = self._answer("hello").value
        self.folder = str(said["folder"])
        versions.check(self.place, said, versions.here())

    def join(self, count: int) -> None:
        """Let the worker make its network, with a door to each of the ``count - 1`` other workers.

        :raises ToolMissing: if the host's kernel gives it none. :raises DeviceError: if it fails.
        """
        self._say("join", {"index": self.index, "count": count})
        self._answer("joined")

    def connect(self, hosts: Sequence[Host]) -> None:
        """Lead the worker's doors to the others' through this machine.

        :raises DeviceError: if the host's ssh server does not allow it.
        """
        others = {node.door(self.folder, host.index): host.door for host in hosts if host is not self}
        self._connection.forward({self.door: node.door(self.folder)}, others)

    @property
    def door(self) -> Path:
        """The socket of this machine that leads to the worker."""
        return self._connection.place("door")

    def reach(self, hosts: Sequence[Host]) -> None:
        """Let the worker try the doors to the others.

        :raises DeviceError: naming the one that it cannot reach.
        """
        self._say("reach")
        for failed in self._answer("reached").value:
            other = hosts[int(failed["worker"])].place
            raise DeviceError(f"{self.place} cannot reach {other} through ssh: {failed['wrong']}", FORWARDING)

    def train(
        self, args: Mapping[str, Any], shard: Mapping[str, NDArray[Any]], folder: Path, listen: Listener
    ) -> Answer:
        """See :class:`edgekit.training.workers.processes.Worker`; states that the host sends go to ``folder``."""
        self._say("train", dict(args), pack(shard))
        listen({"reached": "worker"})
        while True:
            frame = self._hear()
            match frame.kind:
                case "message":
                    listen(frame.value)
                case "state":
                    with suppress(ValueError):
                        checkpoint.store(folder, frame.payload)
                case "died":
                    raise sandbox.ChildDied(str(frame.value), "")
                case "failed":
                    raise DeviceError(f"the worker on {self.place} failed: {frame.value}")
                case "error":
                    raise sandbox.rebuilt(frame.value)
                case "result":
                    try:
                        return dict(frame.value), unpack(frame.payload)
                    except (Ended, TypeError, ValueError) as error:
                        raise DeviceError(f"{self.place} sent damaged results", "try again") from error

    def stop(self) -> None:
        """From another thread: end what goes on, soon; then ``close``."""
        self._stopped = True
        if self._channel is not None:
            self._channel.abandon()
        if self._process is not None:
            self._process.kill()
        else:
            self._connection.abort()

    def close(self) -> None:
        """End the worker and the connection; nothing stays there."""
        process = self._process
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream:
                    with suppress(OSError):
                        stream.close()
        self._connection.close()
        self._log.close()

    def _say(self, kind: str, value: Any = None, payload: bytes = b"") -> None:
        assert self._channel is not None
        try:
            self._channel.send(kind, value, payload)
        except Ended as error:
            raise self._lost() from error

    def _hear(self, seconds: float = float("inf")) -> Frame:
        """The next frame that says something, giving signs of life meanwhile."""
        assert self._channel is not None
        end = time.monotonic() + seconds
        while time.monotonic() < end and self._channel.silent < SILENCE:
            self._say("alive")
            try:
                frame = self._channel.receive(min(BEAT, seconds))
            except Ended as error:
                raise self._lost() from error
            if frame is not None and frame.kind != "alive":
                return frame
        raise DeviceError(f"the worker on {self.place} does not answer", "is the machine overloaded? try again")

    def _answer(self, kind: str) -> Frame:
        frame = self._hear(START_SECONDS)
        if frame.kind == "error":
            error = sandbox.rebuilt(frame.value)
            raise type(error)(f"{self.place}: {error.message}", error.hint)
        if frame.kind != kind:
            raise DeviceError(
                f"the worker on {self.place} uses another protocol", "install the same version of edgekit there"
            )
        return frame

    def _lost(self) -> DeviceError | ToolMissing:
        """Why the worker is gone."""
        status = None
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                status = self._process.wait(5)
        if self._connection.broke(status):
            return DeviceError(f"the connection to {self.place} broke", "is it still up? try again")
        self._log.seek(0)
        nothing = f"status {status}" if status is not None else "it is not understood"
        said = last_line(self._log.read().decode(errors="replace"), nothing)
        hint = "name the Python that has edgekit[train] there with EDGEKIT_WORKER_PYTHON"
        if status in (126, 127):
            return ToolMissing(f"{self.place} cannot start {_python()}: {said}", hint)
        if "No module named" in said or "ModuleNotFoundError" in said:
            return ToolMissing(f"{_python()} on {self.place} cannot start edgekit's worker: {said}", hint)
        return DeviceError(f"the worker on {self.place} ended: {said}", "try again")


def _python() -> str:
    """The Python that the hosts start, quoted for a shell; ``~/`` is the home folder there."""
    given = os.environ.get("EDGEKIT_WORKER_PYTHON") or "python3"
    return f"~/{shlex.quote(given[2:])}" if given.startswith("~/") else shlex.quote(given)


@contextmanager
def team(addresses: Sequence[Address]) -> Iterator[list[Host]]:
    """One worker on each host, all started, of the same versions, and connected with one another through ssh.

    :raises DeviceError: naming the host that is not. :raises ToolMissing: naming the host that lacks something.
    """
    with ExitStack() as stack:
        hosts = [Host(address, index) for index, address in enumerate(addresses)]
        stack.callback(_each, hosts, Host.close)
        _each(hosts, Host.open)
        if len(hosts) > 1:
            _each(hosts, lambda host: host.join(len(hosts)))
            _each(hosts, lambda host: host.connect(hosts))
            _each(hosts, lambda host: host.reach(hosts))
        yield hosts


def _each(hosts: Sequence[Host], work: Callable[[Host], None]) -> None:
    """Do it for all at once; at the first error, or Ctrl-C, all are stopped."""
    with ThreadPoolExecutor(len(hosts)) as pool:
        futures = [pool.submit(work, host) for host in hosts]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        except BaseException:
            for host in hosts:
                host.stop()
            raise
