"""Tasks that misbehave, each in its own way; they run in the sandbox's child."""

from __future__ import annotations

import ctypes
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.errors import UsageError
from edgekit.sandbox import tell

Result = tuple[dict[str, Any], dict[str, Any]]


def double(args: dict[str, Any], arrays: dict[str, Any], work: Path) -> Result:
    (work / "scratch.txt").write_text("allowed")
    return {"said": args["say"]}, {name: 2 * values for name, values in arrays.items()}


def connect(args: dict[str, Any], arrays: dict[str, Any], work: Path) -> Result:
    socket.create_connection(("127.0.0.1", args["port"]))
    return {}, {}


def serve(args: dict[str, Any], arrays: dict[str, Any], work: Path) -> Result:
    """On all interfaces; says what the first client said."""
    with socket.create_server(("", args["port"])) as server:
        tell(work, {"listens": True})
        client, _ = server.accept()
        with client:
            client.sendall(b"hello")
            return {"heard": client.recv(100).decode()}, {}


def visit(args: dict[str, Any], arrays: dict[str, Any], work: Path) -> Result:
    """Connect to the server of :func:`serve`; try to open the sockets that lead out."""
    with socket.create_connection(("127.0.0.1", args["port"])) as server:
        said = server.recv(5)
        server.sendall(b"good day")
    refused = []
    for family in ("AF_UNIX", "AF_NETLINK", "AF_PACKET"):
        try:
            socket.socket(getattr(socket, family), socket.SOCK_DGRAM).close()
        except OSError:
            refused.append(family)
    return {"said": said.decode(), "refused": refused}, {}


def write(args: dict[str, Any], arrays: dict[str, Any], work: Path) -> Result:
    Path(args["path"]).write_text("escaped")
    return {}, {}


def execute(args: dict[str, Any], arrays: dict[str, Any], work: Path) -> Result:
    os.execv("/bin/true", ["true"])


def talk(args: dict[str, Any], arrays: dict[str, Any], work: Path) -> Result:
    for number in range(args["count"]):
        tell(work, {"number": number})
        time.sleep(args["pause"])
    with (work / "messages").open("a") as file:
        file.write('garbage\n[1]\n{"half')
    return {}, {}


def crash(args: dict[str, Any], arrays: dict[str, Any], work: Path) -> Result:
    ctypes.string_at(0)
    return {}, {}


def leave(args: dict[str, Any], arrays: dict[str, Any], work: Path) -> Result:
    os._exit(7)


def allocate(args: dict[str, Any], arrays: dict[str, Any], work: Path) -> Result:
    return {"bytes": len(np.ones(1 << 32, np.uint8))}, {}


def hang(args: dict[str, Any], arrays: dict[str, Any], work: Path) -> Result:
    time.sleep(1000)
    return {}, {}


def spin(args: dict[str, Any], arrays: dict[str, Any], work: Path) -> Result:
    while True:
        pass


def refuse(args: dict[str, Any], arrays: dict[str, Any], work: Path) -> Result:
    raise UsageError("that is wrong", "do this")


def fail(args: dict[str, Any], arrays: dict[str, Any], work: Path) -> Result:
    print("a word on stderr", file=sys.stderr)
    raise ZeroDivisionError("oops")


def fill(args: dict[str, Any], arrays: dict[str, Any], work: Path) -> Result:
    with (work / "big").open("wb") as file:
        for _ in range(64):
            file.write(bytes(1 << 20))
    return {}, {}


def chatter(args: dict[str, Any], arrays: dict[str, Any], work: Path) -> Result:
    """Prints, as libraries do, what looks like an answer."""
    os.write(1, b'{"exit": 7}\n{"exit": 7}\n')
    print('{"exit": 7}', flush=True)
    return {"done": True}, {}
