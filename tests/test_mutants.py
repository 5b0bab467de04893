"""The mutation tester: which faults it plants, that they are caught, and that the rest of the source stays."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tools" / "mutants"))

import c_faults  # noqa: E402
import lines  # noqa: E402
import planted  # noqa: E402

SOURCE = '''
"""Docstring 1 < 2."""
LIMIT: int = 3
def f(a, b: "int | None" = 4, *, c=True):
    """Docstring of 5."""
    if a < b and not c:
        raise ValueError(f"{a + 1} is more than {b}")
    progress.step("six" + str(6))
    a = a + 1
    for x in (a, b):
        if x is None:
            continue
        log(x, -b)
    return max(a, b)
'''
EXPECTED = {
    ("3", "4"), ("4", "5"), ("True", "False"), ("a < b and (not c)", "not (a < b and (not c))"),
    ("a < b and (not c)", "a < b or not c"), ("a < b", "a <= b"), ("not c", "c"), ("a = a + 1", "pass"),
    ("a + 1", "a - 1"), ("1", "2"), ("x is None", "x is not None"), ("continue", "break"), ("log(x, -b)", "pass"),
    ("log(x, -b)", "log(-b, x)"), ("-b", "b"), ("return max(a, b)", "return None"),
}  # fmt: skip


def found(tmp_path: Path, source: str) -> list[planted.Mutant]:
    (tmp_path / "m.py").write_text(source)
    return planted.mutants(tmp_path, "m.py")


def test_faults_that_are_planted(tmp_path: Path) -> None:
    mutants = found(tmp_path, SOURCE)
    assert {(m.before, m.after) for m in mutants} == EXPECTED
    for mutant in mutants:
        data = mutant.apply(SOURCE.encode())
        assert ast.dump(ast.parse(data)) != ast.dump(ast.parse(SOURCE))
        assert data[: mutant.start] == SOURCE.encode()[: mutant.start]
        assert data.endswith(SOURCE.encode()[mutant.end :])
        assert mutant.first <= mutant.line <= mutant.last


def test_places_are_bytes(tmp_path: Path) -> None:
    source = 'x = "\u00e4\u20ac"; y = 7\n'
    (mutant,) = found(tmp_path, source)
    assert mutant.apply(source.encode()).decode() == 'x = "\u00e4\u20ac"; y = 8\n'


def test_a_sample_does_not_depend_on_other_code(tmp_path: Path) -> None:
    before = {mutant.rank(0): (mutant.before, mutant.after) for mutant in found(tmp_path, SOURCE)}
    after = {mutant.rank(0): (mutant.before, mutant.after) for mutant in found(tmp_path, "z = 9\n\n" + SOURCE)}
    assert len(before) == len(EXPECTED) and before.items() <= after.items()
    assert {mutant.rank(1) for mutant in found(tmp_path, SOURCE)}.isdisjoint(before)


def test_lines_that_run_when_a_file_is_imported() -> None:
    lines = planted.module_lines(SOURCE.encode())
    assert {3, 4} <= lines and lines.isdisjoint(range(5, 15))


def test_lines_of_a_program_and_its_forks_are_recorded(tmp_path: Path) -> None:
    program = tmp_path / "p.py"
    program.write_text(
        textwrap.dedent("""
        import os
        def child():
            os._exit(0)
        def never():
            pass
        def main():
            if os.fork() == 0:
                child()
            os.wait()
        main()
        """)
    )
    index = tmp_path / "index.json"
    index.write_text(json.dumps({str(program): 10}))
    index.with_suffix(".bits").write_bytes(bytes(40))
    folder = str(ROOT / "tools" / "mutants")
    start = f"import sys; sys.path.insert(0, {folder!r}); import probe; probe.start({str(index)!r})"
    code = f"{start}; exec(compile(open({str(program)!r}).read(), {str(program)!r}, 'exec'))"
    subprocess.run([sys.executable, "-c", code], check=True)
    bits = index.with_suffix(".bits").read_bytes()
    assert [place - 10 for place, value in enumerate(bits) if value] == [0, 2, 3, 4, 5, 7, 8, 9, 10, 11]


def test_what_is_listed_as_equivalent_is_a_fault_with_a_reason() -> None:
    entries = tomllib.loads((ROOT / "tools" / "mutants" / "equivalent.toml").read_text())["equivalent"]
    for entry in entries:
        assert set(entry) == {"file", "source", "changes", "reason"} and len(entry["reason"]) > 10
        assert (ROOT / entry["file"]).is_file()


def test_faults_in_c_still_fit_their_files() -> None:
    listed = c_faults.faults()
    assert len({(fault.file, fault.before) for fault in listed}) == len(listed) > 50
    for fault in listed:
        data = (ROOT / fault.file).read_bytes()
        assert fault.apply(data) != data and fault.what
        for test in fault.tests:
            file, _, function = test.partition("[")[0].partition("::")
            assert f"def {function}(" in (ROOT / file).read_text() if function else (ROOT / file).is_file()


def test_a_fault_in_c_that_does_not_fit_is_told() -> None:
    fault = c_faults.Fault("a.c", "i < n", "i <= n", "one too many", ())
    assert fault.apply(b"for (; i < n;)") == b"for (; i <= n;)"
    for data in (b"while (1)", b"i < n && i < n"):
        with pytest.raises(ValueError, match="not there once"):
            fault.apply(data)


def test_only_test_files_that_changed_are_run_again(tmp_path: Path) -> None:
    """Lines that are known stay so, until the package changes."""
    source, test = "tools/mutants/probe.py", "tests/test_mutants.py"
    coverage = object.__new__(lines.Coverage)
    coverage.data = {source: (ROOT / source).read_bytes()}
    tests = lines.Tests((test, "tests/e2e/test_startup.py"), left_out=("tests/e2e/test_startup.py",))
    kept = tmp_path / "lines.json"
    assert coverage.kept(kept, tests) == ([test], {})
    known = {f"{test}::test_a": {"good": True, "seconds": 1, "lines": [3]}, "tests/gone.py::test_b": {}}
    text = {"package": coverage.digest(), "files": {test: lines._digest(test)}, "tests": known}
    kept.write_text(json.dumps(text))
    assert coverage.kept(kept, tests) == ([], {f"{test}::test_a": known[f"{test}::test_a"]})
    kept.write_text(json.dumps({**text, "files": {test: "another"}}))
    assert coverage.kept(kept, tests) == ([test], {})
    kept.write_text(json.dumps({**text, "package": "another"}))
    assert coverage.kept(kept, tests) == ([test], {})


@pytest.mark.slow
def test_a_fault_is_planted_in_a_copy_and_caught(tmp_path: Path) -> None:
    """Two faults in the smallest package, by the command itself."""
    command = [
        sys.executable,
        str(ROOT / "tools" / "mutants"),
        "-n",
        "2",
        "--jobs",
        "1",
        "bundle",
        "--results",
        tmp_path,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "| `bundle` | 2 | 0 |" in done.stdout and "killed: edgekit/bundle/" in done.stderr
