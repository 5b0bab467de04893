"""An ssh server on a loopback port, with keys of its own, for tests to connect to."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class SshServer:
    """The server. ``tmp`` is the temporary folder of what it starts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tmp = folder / "tmp"
        self.port = free_port()
        self.server: subprocess.Popen[bytes] | None = None

    @property
    def options(self) -> str:
        """For ``EDGEKIT_SSH_OPTIONS``: its key, and no trust in whatever the user's known hosts say."""
        keys = f"IdentityFile={self.folder / 'client_key'} IdentitiesOnly=yes IdentityAgent=none"
        known = f"UserKnownHostsFile={self.folder / 'known_hosts'} GlobalKnownHostsFile=/dev/null"
        return f"{keys} {known} User={getpass.getuser()}"

    def sessions(self) -> list[int]:
        """Processes of the server's connections."""
        assert self.server
        children = Path(f"/proc/{self.server.pid}/task/{self.server.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def left_behind(self) -> list[str]:
        """What is in the temporary folder once sessions had a moment to end."""
        for _ in range(50):
            names = sorted(os.listdir(self.tmp))
            if not names:
                return []
            time.sleep(0.1)
        return names

    def prepare(self, shell: str, options: str = "") -> None:
        """Write keys and configuration.

        :param shell: text of the script that gets each command, as ``$SSH_ORIGINAL_COMMAND``.
        :param options: further lines of the configuration.
        """
        folder = self.folder
        for name in ("host_key", "client_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
        host_key = (folder / "host_key.pub").read_text().rsplit(maxsplit=1)[0]
        names = ",".join(f"[{name}]:{self.port}" for name in ("127.0.0.1", "localhost"))
        (folder / "known_hosts").write_text(f"{names} {host_key}\n")
        shutil.copy(folder / "client_key.pub", folder / "authorized")
        self.tmp.mkdir()
        script(folder / "shell", shell)
        (folder / "sshd_config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {folder}/host_key\n"
            f"AuthorizedKeysFile {folder}/authorized\nStrictModes no\nPasswordAuthentication no\n"
            f"KbdInteractiveAuthentication no\nUsePAM no\nPermitRootLogin yes\n"
            f"PidFile none\nForceCommand {folder}/shell\n{options}\n"
        )

    def start(self) -> None:
        """Start it, and wait until it listens."""
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        with (self.folder / "sshd.log").open("wb") as log:
            command = [_sshd(), "-D", "-e", "-f", str(self.folder / "sshd_config")]
            self.server = subprocess.Popen(command, stderr=log)
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        pytest.fail("the ssh server did not start: " + (self.folder / "sshd.log").read_text())

    def stop(self) -> None:
        """End it, if it runs."""
        if self.server:
            self.server.send_signal(signal.SIGTERM)
            self.server.wait()


@contextmanager
def ssh_server(shell: str, options: str = "") -> Iterator[SshServer]:
    """Start a server, for its parameters see :meth:`SshServer.prepare`; skips with the reason where there is none."""
    with server_folder() as folder:
        server = SshServer(folder)
        try:
            server.prepare(shell.format(tmp=server.tmp), options)
            server.start()
            yield server
        finally:
            server.stop()


@contextmanager
def server_folder() -> Iterator[Path]:
    """A folder for a server; skips with the reason where there can be none."""
    if not _sshd() or not shutil.which("ssh-keygen"):
        pytest.skip("openssh-server is not installed")
    folder = Path(tempfile.mkdtemp(prefix="edgekit-board-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sshd() -> str:
    return shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin") or ""


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def script(path: Path, text: str) -> None:
    """Write an executable shell script."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
