"""A private network for child processes that communicate: the loopback interface, and nothing else.

Servers in it may listen on every address and need no password: nobody outside reaches them, and they reach nobody. The
network lasts as long as its keeper, a process that :class:`Loopback` starts and that enters it first. Other networks
are joined through *doors*, sockets in folders that only their owner can enter: what connects to a port inside comes out
at a socket, and what connects to a socket reaches a port inside. The keeper passes the bytes on.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from types import TracebackType

from edgekit.errors import EdgekitError, ToolMissing
from edgekit.sandbox import environment, namespaces

GREETING = b"\x06"
"""What a door says to whoever came in, so that it can tell an open door from one that leads nowhere."""
LONGEST = 100
"""Bytes that the name of a socket may have: the system allows 107."""
_READY = b"ready\n"
_SECONDS = 60.0
_CHUNK, _STACK = 1 << 18, 1 << 18
"""Bytes that are passed on at once, and of a thread's stack, which counts as memory."""
_ADDRESS = "127.0.0.1"
HINT = (
    "let the kernel give processes namespaces of their own (as root: sysctl -w user.max_user_namespaces=10000 "
    "kernel.apparmor_restrict_unprivileged_userns=0; in a container: allow unshare), or use --workers 1"
)


class Loopback:
    """The network. Use it as a context manager.

    :param inward: the port inside for each socket outside. :param outward: the socket outside for each port inside.
    :raises ToolMissing: if the kernel does not allow it.
    """

    def __init__(self, inward: Mapping[str, int] | None = None, outward: Mapping[int, str] | None = None) -> None:
        settings = {"inward": dict(inward or {}), "outward": dict(outward or {})}
        self._keeper = subprocess.Popen(
            environment.python(__name__, json.dumps(settings)), cwd=environment.NEUTRAL, env=environment.clean(),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        self.pid = self._keeper.pid
        try:
            self._wait()
        except BaseException:
            self.close()
            raise

    def _wait(self) -> None:
        assert self._keeper.stdout and self._keeper.stderr
        ready, _, _ = select.select([self._keeper.stdout], [], [], _SECONDS)
        if ready and os.read(self._keeper.stdout.fileno(), len(_READY)) == _READY:
            return
        self._keeper.kill()
        said = self._keeper.stderr.read(2000).decode(errors="replace").split("\n")[0]
        raise unavailable(said or "it does not start")

    def __enter__(self) -> Loopback:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the keeper; the network goes with the last process in it."""
        with suppress(ProcessLookupError):
            self._keeper.kill()
        self._keeper.wait()
        for stream in (self._keeper.stdin, self._keeper.stdout, self._keeper.stderr):
            if stream:
                stream.close()


def unavailable(why: str) -> EdgekitError:
    """Return the error for a machine that gives workers no network of their own."""
    return ToolMissing(f"this machine gives workers no network of their own: {why}", HINT)


def through(path: str, seconds: float) -> str:
    """Go through the door at ``path``; return what is wrong, empty if it is open within ``seconds``."""
    try:
        with socket.socket(socket.AF_UNIX) as there:
            there.settimeout(seconds)
            there.connect(path)
            return "" if there.recv(len(GREETING)) == GREETING else "the connection was closed"
    except OSError as error:
        return error.strerror or str(error)


def main() -> None:
    """The keeper. It ends with its standard input."""
    from edgekit.sandbox import Limits, lockdown

    settings = json.loads(sys.argv[1])
    if not namespaces.loopback():
        sys.exit("the kernel does not allow it")
    doors = Doors(settings["inward"], {int(port): path for port, path in settings["outward"].items()})
    limits = asdict(Limits(seconds=24 * 3600, memory_mb=1024, file_mb=1, network=True))
    try:
        lockdown.lock([], environment.readable(), **limits)
    except lockdown.Unlocked as missing:
        sys.exit(f"{missing} cannot be set")
    os.write(1, _READY)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # nobody reads what is said later
    doors.start()
    while os.read(0, 1):
        pass
    os._exit(0)


class Doors:
    """Pass bytes between ports inside and sockets outside; see :class:`Loopback`. It listens once it is made.

    Each direction of a connection has a thread, which costs less time than one that waits for all.
    """

    def __init__(self, inward: Mapping[str, int], outward: Mapping[int, str]) -> None:
        os.umask(0o177)
        threading.stack_size(_STACK)
        self._servers: list[tuple[socket.socket, Callable[[], socket.socket], bytes]] = []
        for path, port in inward.items():
            server = socket.socket(socket.AF_UNIX)
            server.bind(path)
            self._servers.append((server, partial(_to_port, port), GREETING))
        for port, path in outward.items():
            self._servers.append((socket.create_server((_ADDRESS, port)), partial(_to_door, path), b""))
        for server, _, _ in self._servers:
            server.listen(128)

    def start(self) -> None:
        """Serve in other threads."""
        for server in self._servers:
            threading.Thread(target=_serve, args=server, daemon=True).start()


def _to_port(port: int) -> socket.socket:
    return socket.create_connection((_ADDRESS, port))


def _to_door(path: str) -> socket.socket:
    there = socket.socket(socket.AF_UNIX)
    there.connect(path)
    if there.recv(len(GREETING)) != GREETING:
        there.close()
        raise ConnectionResetError
    return there


def _serve(server: socket.socket, onward: Callable[[], socket.socket], greeting: bytes) -> None:
    while True:
        client, _ = server.accept()
        threading.Thread(target=_connect, args=(client, onward, greeting), daemon=True).start()


def _connect(client: socket.socket, onward: Callable[[], socket.socket], greeting: bytes) -> None:
    """Pass on what comes in at either end, until one closes: then both are closed."""
    with client, suppress(OSError):
        client.sendall(greeting)
        with onward() as there:
            for end in (client, there):
                if end.family == socket.AF_INET:
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=_pass, args=(there, client), daemon=True)
            back.start()
            _pass(client, there)
            back.join()


def _pass(source: socket.socket, sink: socket.socket) -> None:
    buffer = memoryview(bytearray(_CHUNK))
    with suppress(OSError):
        while count := source.recv_into(buffer):
            sink.sendall(buffer[:count])
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


if __name__ == "__main__":
    main()
