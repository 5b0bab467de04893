"""Networks of a child's own: what counts as one, and what becomes of a connection that is passed on into it."""

from __future__ import annotations

import os
import socket
import threading

import pytest

from edgekit.sandbox import loopback, namespaces


class Kernel:
    """What the kernel answers, and what it was asked to enter."""

    def __init__(self, answer: int) -> None:
        self.answer, self.entered = answer, list[int]()

    def setns(self, descriptor: int, kind: int) -> int:
        self.entered.append(kind)
        return self.answer


@pytest.mark.parametrize(
    ("answer", "interfaces", "inside"), [(0, ["lo"], True), (0, ["lo", "eth0"], False), (-1, ["lo"], False)]
)
def test_a_network_is_entered_if_the_kernel_allows_it(
    monkeypatch: pytest.MonkeyPatch, answer: int, interfaces: list[str], inside: bool
) -> None:
    kernel = Kernel(answer)
    monkeypatch.setattr(namespaces, "_libc", kernel)
    monkeypatch.setattr(namespaces, "interfaces", lambda: interfaces)
    monkeypatch.setattr(os.path, "samefile", lambda *_: False)
    assert namespaces.enter(os.getpid()) is inside
    assert kernel.entered == ([0x10000000, 0x40000000] if answer == 0 else [0x10000000])


def test_ones_own_network_needs_no_entering(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(-1)
    monkeypatch.setattr(namespaces, "_libc", kernel)
    monkeypatch.setattr(namespaces, "interfaces", lambda: ["lo"])
    assert namespaces.enter(os.getpid()) and kernel.entered == []


def test_a_process_that_is_gone_has_no_network() -> None:
    assert not namespaces.enter(2**22 + 1)


def test_interfaces_are_those_of_the_process() -> None:
    assert set(namespaces.interfaces()) == {name for _, name in socket.if_nameindex()}


def test_what_is_passed_on_waits_for_no_more() -> None:
    """Small messages leave at once, at both ends; and both ends close together."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ends = []
        for _ in range(2):
            far = socket.create_connection(server.getsockname())
            ends.append((far, server.accept()[0]))
        (user, client), (service, there) = ends
        thread = threading.Thread(target=loopback._connect, args=(client, lambda: there, b"greeting"))
        thread.start()
        assert user.recv(8, socket.MSG_WAITALL) == b"greeting"
        user.sendall(b"question")
        assert service.recv(8, socket.MSG_WAITALL) == b"question"
        assert all(end.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for end in (client, there))
        service.sendall(b"answer")
        assert user.recv(6, socket.MSG_WAITALL) == b"answer"
        user.close()
        service.close()
        thread.join(10)
        assert not thread.is_alive() and client.fileno() == there.fileno() == -1
