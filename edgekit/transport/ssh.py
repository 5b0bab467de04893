"""A connection to a machine through the system's OpenSSH client, with a private folder there that always goes away.

The client brings the user's ``~/.ssh/config``, keys, agent and known hosts. One connection carries everything
(``ControlMaster``): its own session holds the folder there and removes it when its input ends, which
happens when we close it, when we are killed, and when the network breaks.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import resource
import select
import shlex
import signal
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from edgekit.errors import DeviceError, UsageError
from edgekit.files import pipes, temporary
from edgekit.text.logs import last_line
from edgekit.tools import toolchain
from edgekit.transport import MOST_OUTPUT, Done, File, TooLarge
from edgekit.transport.keeper import GREETING, KEEPER

CONNECT_SECONDS = 15
FORWARD_SECONDS = 20
COPY_SECONDS = 600.0
_MOST_GREETING, _MOST_LOG = 64 << 10, 4 << 20
_SSH_FAILED = 255
FORWARDING = "its ssh server must forward sockets: AllowStreamLocalForwarding yes, and a key without 'restrict'"
_LONGEST = 60
"""Bytes of a temporary folder's name: with ours, ssh's and its own ending, a socket's path may have 108."""
_FILES = ("identityfile", "certificatefile", "identityagent", "pkcs11provider")
"""Options whose value is the name of one file."""

BEGIN = b"edgekit's output begins\n"
"""Printed before a script's own output: whatever the shell's start-up files print comes before it."""

_SSH_ERRORS: tuple[tuple[str, str, str], ...] = (
    ("Connection refused", "{host} refuses connections", "is the ssh server running there, and is the port right?"),
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        "the host key of {host} has changed",
        "if it was installed anew, run: ssh-keygen -R {name}",
    ),
    ("Host key verification failed", "the host key of {host} is not known", "connect once by hand: ssh {command}"),
    ("Permission denied", "{host} accepts none of your keys", "copy one there: ssh-copy-id {command}"),
    ("Too many authentication failures", "{host} accepts none of your keys", "name the right one in ~/.ssh/config"),
    ("Could not resolve hostname", "there is no host {host}", "check the name, or use its address"),
    ("timed out", "{host} does not answer", "is it on, and in the same network?"),
    ("No route to host", "{host} cannot be reached", "is it on, and in the same network?"),
    ("Network is unreachable", "{host} cannot be reached", "is this machine's network up?"),
    ("Bad configuration option", "ssh does not know an option in EDGEKIT_SSH_OPTIONS", "man ssh_config lists them"),
)


@dataclass(frozen=True)
class Address:
    """Where a machine is: for a board, what stands after ``ssh:``."""

    user: str
    host: str
    port: int | None

    @staticmethod
    def parse(text: str) -> Address:
        """Parse ``//[user@]host[:port]``; the host may be a name from ``~/.ssh/config`` or ``[IPv6]``.

        :raises UsageError: if it is not that.
        """
        pattern = r"//(?:([A-Za-z0-9_.][\w.\-]*)@)?(\[[0-9A-Fa-f:.%\w]+\]|[A-Za-z0-9_][\w.\-]*)(?::(\d{1,5}))?/?"
        match = re.fullmatch(pattern, text)
        if not match or not 0 < int(match[3] or 22) < 65536:
            raise UsageError(f"'ssh:{text}' is not the address of a board", "write ssh://user@host or ssh://host:port")
        return Address(match[1] or "", match[2].strip("[]"), int(match[3]) if match[3] else None)

    @property
    def known_host(self) -> str:
        """As known_hosts has it."""
        return f"[{self.host}]:{self.port}" if self.port else self.host

    @property
    def shown(self) -> str:
        """As people write it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" if self.port else self.host

    def arguments(self) -> list[str]:
        """The address as ssh takes it."""
        user = ["-l", self.user] if self.user else []
        port = ["-p", str(self.port)] if self.port else []
        return [*user, *port, self.host]


class SshConnection:
    """See :class:`edgekit.transport.Connection`; it can also start programs, and forward sockets."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.folder = ""
        self.arch = ""
        self._ssh = list(toolchain.load("ssh").find().argv)
        self._kept = contextlib.ExitStack()
        self._local = Path()
        self._keeper: subprocess.Popen[bytes] | None = None
        self._aborted = False

    def __enter__(self) -> SshConnection:
        self.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    @property
    def shown(self) -> str:
        """See :class:`edgekit.transport.Connection`."""
        return self.address.shown

    def device(self) -> str:
        """See :class:`edgekit.transport.Connection`: the address."""
        return self.address.known_host

    def open(self) -> None:
        """Connect. :raises DeviceError: one line on why that fails."""
        try:
            self._connect()
        except BaseException:
            self.close()
            raise

    def _connect(self) -> None:
        long = len(os.fsencode(tempfile.gettempdir())) > _LONGEST
        self._local = self._kept.enter_context(temporary.folder(Path("/tmp") if long else None))
        options = ["-o", "ControlMaster=yes", "-o", "ControlPersist=no", *_extra_options()]
        with (self._local / "log").open("wb") as log:
            self._keeper = subprocess.Popen(
                [*self._command(options), *self.address.arguments(), _shell(KEEPER)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True,
            )  # fmt: skip
        _bound_log(self._keeper)
        if self._aborted:  # while it was started
            self._keeper.kill()
        line = _first_line(self._keeper, CONNECT_SECONDS * 3)
        match = GREETING.fullmatch(line.strip())
        if match:
            self.folder, self.arch = match[1], match[2]
            return
        self._kill()
        with (self._local / "log").open(errors="replace") as written:
            log_text = written.read(_MOST_GREETING)
        if self._keeper.returncode in (_SSH_FAILED, -signal.SIGKILL):
            raise self._ssh_error(log_text)
        raise DeviceError(f"{self.shown} has no usable shell: {last_line(log_text) or line[:100]}")

    def _command(self, options: list[str]) -> list[str]:
        always = ["BatchMode=yes", f"ConnectTimeout={CONNECT_SECONDS}", "ServerAliveInterval=10", "LogLevel=ERROR"]
        always += ["ForwardAgent=no", "ForwardX11=no", "ClearAllForwardings=yes", "RequestTTY=no"]
        always.append("StreamLocalBindMask=0177")
        always.append(f'ControlPath="{self._local / "s"}"')
        return [*self._ssh, "-T", *(part for option in always for part in ("-o", option)), *options]

    def run(self, script: str, *, data: bytes = b"", seconds: float = 60, most: int = MOST_OUTPUT) -> Done:
        """See :class:`edgekit.transport.Connection`."""
        pipe = subprocess.PIPE
        process = subprocess.Popen(self._within(script), stdin=pipe, stdout=pipe, stderr=pipe)
        try:
            stdout, stderr = pipes.exchange(process, data, seconds, most)
        except subprocess.TimeoutExpired as error:
            raise DeviceError(f"{self.shown} took longer than {seconds:g} s", "use fewer repeats") from error
        except pipes.TooMuch as error:
            raise DeviceError(f"{self.shown} sent over {most} bytes, more than it was asked for") from error
        if self.broke(process.returncode):
            raise DeviceError(f"the connection to {self.shown} broke", "is it still up? try again")
        _, begun, rest = stdout.partition(BEGIN)
        return Done(process.returncode, rest if begun else stdout, stderr)

    def put(self, files: Mapping[str, File]) -> None:
        """See :class:`edgekit.transport.Connection`; they travel as one archive."""
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for name, file in files.items():
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = len(file.data), 0o700 if file.executable else 0o600
                tar.addfile(entry, io.BytesIO(file.data))
        done = self.run("tar -xf -", data=archive.getvalue(), seconds=COPY_SECONDS)
        if done.returncode == 0:
            return
        text = done.stderr.decode(errors="replace")
        if "No space left" in text or "Disk quota" in text:
            raise DeviceError(
                f"{self.shown} has no space for the bundle ({archive.tell() >> 20} MiB) in {self.folder}",
                "free some, or set TMPDIR there to a folder on a larger disk",
            )
        raise DeviceError(f"cannot copy the bundle to {self.shown}: {last_line(text) or 'no message'}")

    def get(self, files: Mapping[str, int]) -> dict[str, bytes]:
        """See :class:`edgekit.transport.Connection`; they travel as one archive."""
        whole = sum(files.values()) + MOST_OUTPUT
        done = self.run(f"tar -cf - {shlex.join(files)}", seconds=COPY_SECONDS, most=whole)
        found: dict[str, bytes] = {}
        try:
            with tarfile.open(fileobj=io.BytesIO(done.stdout), mode="r:") as tar:
                for entry in tar:
                    if not entry.isreg() or entry.name not in files:
                        continue
                    if entry.size > files[entry.name]:
                        raise TooLarge.of(self.shown, entry.name, entry.size, files[entry.name])
                    file = tar.extractfile(entry)
                    found[entry.name] = file.read() if file else b""
        except (tarfile.TarError, ValueError, OverflowError, EOFError) as error:
            raise DeviceError(f"{self.shown} sent damaged results: {error}", "try again") from error
        if len(found) != len(files):
            said = last_line(done.stderr.decode(errors="replace")) or "no message"
            raise DeviceError(f"{self.shown} sent no results: {said}")
        return found

    def start(self, script: str, log: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start a shell script there, in the folder, with our ends of its input and output; its messages go to ``log``.

        It is to write its pid to the file ``pid``, so that it ends with the connection, and to end with its input.
        """
        process = subprocess.Popen(
            self._within(script), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True
        )
        _bound_log(process)
        assert process.stdout
        said = b""
        while len(said) < _MOST_GREETING and not said.endswith(BEGIN) and (byte := os.read(process.stdout.fileno(), 1)):
            said += byte
        return process

    def place(self, name: str) -> Path:
        """Where a socket of this open connection may be here, in a private folder."""
        return self._local / name

    def forward(self, inward: Mapping[Path, str], outward: Mapping[str, Path]) -> None:
        """Let sockets here lead to sockets there (``inward``), and sockets there to sockets here (``outward``).

        It lasts as long as the connection.

        :raises DeviceError: if the server does not allow it; of ``inward``, only using them tells.
        """
        asked = [["-L", f"{_escaped(here)}:{_escaped(there)}"] for here, there in inward.items()]
        asked += [["-R", f"{_escaped(there)}:{_escaped(here)}"] for there, here in outward.items()]
        master = ["-F", "none", "-o", f'ControlPath="{self._local / "s"}"', "-O", "forward"]
        command = [*self._ssh, *master, *(part for option in asked for part in option), self.address.host]
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=FORWARD_SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise DeviceError(f"{self.shown} does not answer", "try again") from error
        if done.returncode == 0:
            return
        if self.broke(None):
            raise DeviceError(f"the connection to {self.shown} broke", "is it still up? try again")
        said = last_line(done.stderr[:_MOST_GREETING].decode(errors="replace"))
        raise DeviceError(f"{self.shown} does not forward sockets: {said}", FORWARDING)

    def broke(self, status: int | None) -> bool:
        """Say whether the connection is gone, now that a script ended with ``status``."""
        return status == _SSH_FAILED or self._keeper is None or self._keeper.poll() is not None

    def _within(self, script: str) -> list[str]:
        begin = shlex.quote(BEGIN.decode().strip())
        whole = _shell(f"echo; echo {begin}; cd {shlex.quote(self.folder)} && {{ {script}\n}}")
        return [*self._command(["-o", "ControlMaster=no"]), *self.address.arguments(), whole]

    def abort(self) -> None:
        """End the connection from another thread, at once; what is there ends with it."""
        self._aborted = True
        if self._keeper is not None:
            self._keeper.kill()

    def close(self) -> None:
        """Remove the folder there and end the connection."""
        keeper = self._keeper
        if keeper is not None and not self.folder:
            keeper.kill()
        elif keeper is not None and keeper.poll() is None and keeper.stdin:
            with contextlib.suppress(OSError):
                keeper.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                keeper.wait(CONNECT_SECONDS)
        self._kill()
        self._kept.close()

    def _kill(self) -> None:
        keeper = self._keeper
        if keeper is None:
            return
        if keeper.poll() is None and _exits_soon(keeper) is None:
            keeper.kill()
            keeper.wait()
        for stream in (keeper.stdin, keeper.stdout):
            if stream:
                with contextlib.suppress(OSError):
                    stream.close()

    def _ssh_error(self, log: str) -> DeviceError:
        user = f"{self.address.user}@" if self.address.user else ""
        port = f"-p {self.address.port} " if self.address.port else ""
        words = {"host": self.shown, "name": f"'{self.address.known_host}'"}
        words["command"] = f"{port}{user}{self.address.host}"
        for sign, message, hint in _SSH_ERRORS:
            if sign in log:
                return DeviceError(message.format(**words), hint.format(**words))
        return DeviceError(
            f"cannot connect to {self.shown}: {last_line(log) or 'no answer'}",
            f"try by hand: ssh {words['command']}",
        )


def _shell(script: str) -> str:
    """The script for a plain shell, whatever the user's login shell is."""
    return f"sh -c {shlex.quote(script)}"


def _escaped(path: Path | str) -> str:
    """A path as a part of what is forwarded."""
    return str(path).replace("\\", "\\\\").replace(":", "\\:")


def _extra_options() -> list[str]:
    """``-o`` options from the environment: ``EDGEKIT_SSH_OPTIONS="IdentityFile=/keys/pi StrictHostKeyChecking=no"``."""
    try:
        given = shlex.split(os.environ.get("EDGEKIT_SSH_OPTIONS", ""))
    except ValueError as error:
        raise UsageError(
            f"EDGEKIT_SSH_OPTIONS cannot be read: {error}",
            """close its quotes, as in: export EDGEKIT_SSH_OPTIONS="IdentityFile='/my keys/pi' Port=2222\"""",
        ) from error
    return [part for option in given if option != "-o" for part in ("-o", _quoted(option.removeprefix("-o")))]


def _quoted(option: str) -> str:
    """The option as ssh reads it: a file's name with a space is in quotes, which the shell's quotes are not."""
    name, equals, value = option.partition("=")
    return f'{name}="{value}"' if equals and name.lower() in _FILES and " " in value and '"' not in value else option


def _first_line(process: subprocess.Popen[bytes], seconds: float) -> str:
    """Read the process's first line that is ours; login messages may come before it. Empty at its end."""
    assert process.stdout
    end, text = time.monotonic() + seconds, b""
    while time.monotonic() < end and len(text) < _MOST_GREETING:
        ready, _, _ = select.select([process.stdout], [], [], max(0.0, end - time.monotonic()))
        chunk = os.read(process.stdout.fileno(), 4096) if ready else b""
        if not chunk:
            break
        text += chunk
        for line in text.decode(errors="replace").split("\n")[:-1]:
            if GREETING.fullmatch(line.strip()):
                return line
    return text.decode(errors="replace")


def _bound_log(process: subprocess.Popen[bytes]) -> None:
    """Bound the file into which a process writes what the machine there says on stderr."""
    with contextlib.suppress(OSError, ValueError):
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (_MOST_LOG, _MOST_LOG))


def _exits_soon(process: subprocess.Popen[bytes]) -> int | None:
    try:
        return process.wait(2)
    except subprocess.TimeoutExpired:
        return None
