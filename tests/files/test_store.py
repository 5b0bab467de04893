"""A bounded store of build results: damaged entries are not read, old ones go, processes do not disturb each other."""

from __future__ import annotations

import multiprocessing
import os
import random
from pathlib import Path

import pytest

from edgekit.files.store import Store


def key(number: int) -> str:
    return f"{number:064x}"


def content(number: int) -> bytes:
    return number.to_bytes(2, "little") * 500


def held(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())


def test_an_entry_comes_back(tmp_path: Path) -> None:
    Store(tmp_path / "store", 1 << 20).put(key(1), b"one")
    store = Store(tmp_path / "store", 1 << 20)
    assert store.get(key(1)) == b"one" and store.get(key(2)) is None


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data[:-1] + b"x", lambda data: b""])
def test_a_damaged_entry_is_none_and_goes(tmp_path: Path, damage: object) -> None:
    store = Store(tmp_path, 1 << 20)
    store.put(key(1), b"one")
    assert callable(damage)
    (tmp_path / key(1)).write_bytes(damage((tmp_path / key(1)).read_bytes()))
    assert store.get(key(1)) is None and not (tmp_path / key(1)).exists()


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path) -> None:
    store = Store(tmp_path, 10_000)
    for number in range(9):
        store.put(key(number), content(number))
        os.utime(tmp_path / key(number), (number, number))
    assert store.get(key(0)) == content(0)  # used again
    for number in range(9, 14):
        store.put(key(number), content(number))
    store.sweep()
    assert held(tmp_path) <= 10_000
    assert store.get(key(0)) is not None and store.get(key(13)) is not None
    assert store.get(key(1)) is None and store.get(key(2)) is None


def test_a_store_never_grows_far_beyond_its_most(tmp_path: Path) -> None:
    store = Store(tmp_path, 10_000)
    for number in range(100):
        store.put(key(number), content(number))
        assert held(tmp_path) <= 10_000 + 10_000 // 8 + 2000


def test_a_folder_that_cannot_be_written_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file", 1000)
    store.put(key(1), b"one")
    assert store.get(key(1)) is None and [path.name for path in tmp_path.iterdir()] == ["file"]


def _work(folder: str, seed: int, wrong: object) -> None:
    store, choose = Store(Path(folder), 20_000), random.Random(seed)
    for _ in range(300):
        number = choose.randrange(40)
        found = store.get(key(number))
        if found is None:
            store.put(key(number), content(number))
        elif found != content(number):
            wrong.value = 1  # type: ignore[attr-defined]
    wrong.value += 0  # type: ignore[attr-defined]


def test_processes_share_a_store(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    wrong = context.Value("i", 0)
    processes = [context.Process(target=_work, args=(str(tmp_path), seed, wrong)) for seed in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4 and wrong.value == 0
    assert 0 < held(tmp_path) <= 20_000 + 4 * (2500 + 2000)
    assert all(path.is_file() for path in tmp_path.iterdir())  # no temporary folder is left
