"""What happens around a command: streams, names, disks, other processes."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgekit.graph import tflite
from tests.e2e.command import EDGEKIT, edgekit, refused
from tests.networks.small import dense

NARROW = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "strict": {"PYTHONIOENCODING": "utf-8:strict"},
}


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """A small float network ``[1, 4] -> [1, 3]`` whose tensors have names beyond ASCII."""
    graph = dense(np.ones((3, 4), np.float32), np.zeros(3, np.float32))
    for tensor in graph.tensors:
        tensor.name = f"naïve→{tensor.name}"
    path = tmp_path / "net.tflite"
    tflite.write(graph, path)
    return path


@pytest.mark.parametrize("arguments", [["targets"], ["targets", "--json"], ["--help"], ["compile", "--help"]])
def test_a_reader_that_has_gone_is_content(arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([EDGEKIT, *arguments], stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_closed_streams(tmp_path: Path, network: Path) -> None:
    done = subprocess.run(["sh", "-c", f"exec {EDGEKIT} targets >&-"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert (
        done.stderr == "error: stdout is closed, so nothing can be printed\n       to discard the output: >/dev/null\n"
    )
    for closed in ("2>&-", "<&-", "2>&- <&-"):
        command = f"exec {EDGEKIT} compile {network} -t host -o {tmp_path / 'out'} {closed}"
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, closed


def test_full_stdout() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([EDGEKIT, "targets"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, "error: No space left on device")


@pytest.mark.parametrize("where", NARROW)
def test_text_that_stdout_cannot_show(tmp_path: Path, network: Path, where: str) -> None:
    odd = tmp_path / os.fsdecode(b"n\xffet.tflite")
    odd.write_bytes(network.read_bytes())
    for model in (network, odd):
        for arguments in (
            ["inspect", model], ["inspect", model, "--json"], ["compile", model, "-t", "host", "-o", tmp_path / "ünï"],
        ):  # fmt: skip
            command = [EDGEKIT, *map(str, arguments)]
            done = subprocess.run(command, env={**os.environ, **NARROW[where]}, capture_output=True, check=False)
            assert done.returncode == 0, (arguments, done)
    bundles = sorted(os.listdir(os.fsencode(tmp_path / "ünï")))
    assert bundles == [b"net.as-is.host", b"n\xffet.as-is.host"]


def test_debug_before_the_verb(tmp_path: Path) -> None:
    for arguments in (["--debug", "inspect", tmp_path / "none"], ["inspect", tmp_path / "none", "--debug"]):
        found = edgekit(*arguments)
        assert found.code == 3
        assert "Traceback" in found.err


def test_the_next_command_can_be_pasted(tmp_path: Path, network: Path) -> None:
    found = edgekit("compile", network, "-t", "host", "-o", tmp_path / "a b'c")
    (line,) = (line for line in found.out.splitlines() if line.startswith("next: "))
    command = line.removeprefix("next: ").replace("edgekit", shlex.quote(str(EDGEKIT)), 1)
    assert subprocess.run(command, shell=True, capture_output=True, check=False).returncode == 0


def test_parallel_compiles_into_one_folder(tmp_path: Path, network: Path) -> None:
    command = [EDGEKIT, "compile", network, "-t", "host", "-o", tmp_path / "out", "--zip", "-q"]
    running = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for _ in range(3)]
    ended = [process.communicate()[1] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], ended
    assert sorted(os.listdir(tmp_path / "out")) == ["net.as-is.host", "net.as-is.host.edgekit"]
    for bundle in ("net.as-is.host", "net.as-is.host.edgekit"):
        assert edgekit("verify", tmp_path / "out" / bundle).code == 0


def test_a_killed_compile_is_swept_by_the_next(tmp_path: Path, network: Path) -> None:
    out = tmp_path / "out"
    process = subprocess.Popen([EDGEKIT, "compile", network, "-t", "host", "-o", out, "-q"], stdout=subprocess.DEVNULL)
    while not (left := list(out.glob(".edgekit-*/bundle"))):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert left[0].parent.is_dir()
    os.utime(left[0].parent, (0, 0))
    assert edgekit("compile", network, "-t", "host", "-o", out).code == 0
    assert os.listdir(out) == ["net.as-is.host"]


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, network: Path) -> None:
    for env in ({"EDGEKIT_CACHE": "/dev/null/x"}, {"EDGEKIT_CACHE": "", "XDG_CACHE_HOME": "", "HOME": "/dev/null"}):
        refused(edgekit("compile", network, "-t", "host", "-o", tmp_path / "out", env=env), 2, "EDGEKIT_CACHE", "cache")
        done = edgekit("doctor", env=env)
        assert done.code == 4
        assert "EDGEKIT_CACHE" in done.out
    assert not (tmp_path / "out").exists()


def test_a_relative_cache_is_found_from_everywhere(tmp_path: Path, network: Path) -> None:
    env = {"EDGEKIT_CACHE": "here"}
    assert edgekit("compile", network, "-t", "host", "-o", tmp_path / "out", cwd=tmp_path, env=env).code == 0
    assert list((tmp_path / "here").rglob("edgekit-run"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A temporary folder of 64 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder]).returncode:
        pytest.skip("only root can make a small disk")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_temporary_folder(small_disk: Path, tmp_path: Path) -> None:
    model = tmp_path / "net.tflite"
    tflite.write(dense(np.ones((3, 40_000), np.float32), np.zeros(3, np.float32)), model)
    env = {"TMPDIR": str(small_disk)}
    refused(edgekit("compile", model, "-t", "host", "-o", tmp_path / "out", env=env), 2, str(small_disk), "TMPDIR")
    assert edgekit("compile", model, "-t", "host", "-o", tmp_path / "out", "--zip").code == 0
    bundle = tmp_path / "out" / "net.as-is.host.edgekit"
    for verb in ("run", "verify"):
        refused(edgekit(verb, bundle, env=env), 2, str(small_disk), "TMPDIR")
    assert os.listdir(small_disk) == []


def test_a_cache_that_is_filled_may_be_read_only(tmp_path: Path, network: Path) -> None:
    cache, out = tmp_path / "cache", tmp_path / "out"
    env = {"EDGEKIT_CACHE": str(cache)}
    assert edgekit("compile", network, "-t", "host", "-o", out, env=env).code == 0

    def read_only(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        mount = 'mount --bind "$EDGEKIT_CACHE" "$EDGEKIT_CACHE" && mount -o remount,ro,bind "$EDGEKIT_CACHE"'
        command = f'{mount} || exit 77; exec "{EDGEKIT}" "$@"'
        return subprocess.run(
            ["unshare", "-rm", "sh", "-c", command, "sh", *map(str, arguments)], env={**os.environ, **env},
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    again = read_only("compile", network, "-t", "host", "-o", out)
    if again.returncode in (1, 77) and "edgekit" not in again.stderr:
        pytest.skip(f"no mounts in a user namespace here: {again.stderr}")
    assert again.returncode == 0, again.stderr
    for file in cache.rglob("edgekit-run"):
        file.unlink()
    lacking = read_only("compile", network, "-t", "host", "-o", out)
    assert lacking.returncode == 2
    assert "edgekit's cache cannot be written" in lacking.stderr
    assert "EDGEKIT_CACHE" in lacking.stderr.splitlines()[-1]


@pytest.mark.parametrize("verb", ["run", "profile", "verify", "compare"])
def test_a_path_that_is_not_there(tmp_path: Path, verb: str) -> None:
    found = edgekit(verb, tmp_path / "gone", *(["--on", "host"] if verb != "compare" else []))
    refused(found, 2, "gone")
    assert "bare model" not in found.err
    assert found.err.startswith("error: there is no bundle")
