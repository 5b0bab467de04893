"""The runtime library's reader of JSON, and its SHA-256, against Python's."""

from __future__ import annotations

import hashlib
import json
import math
import random
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from c_programs import ENVIRONMENT, HERE, LINUX, SANITIZE, compiled

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")

DOCUMENTS = [
    b"{}", b"[]", b" [ ] ", b"[1,2.5,-0,1e5,1E-2,0.125]", b'{"a":{"b":[null,true,false]},"c":"\\u00e9\\n\\\\"}',
    b'"\\ud83d\\ude00 \xc3\xa9 \xf0\x9f\x98\x80"', b"0", b"-12.5e+3", b'"\\"\\/\\b\\f\\r\\t"', b'[[[[[{"x":[[]]}]]]]]',
]  # fmt: skip
"""Taken by both."""
REFUSED = [
    b"", b" ", b"[1,]", b"[,1]", b"{,}", b'{"a"}', b'{"a":}', b'{"a":1,}', b"{1:2}", b"[1 2]", b"[1}", b"[", b"{", b"]",
    b"01", b"1.", b".5", b"1e", b"+1", b"--1", b"-", b"NaN", b"Infinity", b"tru", b"nul", b"[1]x", b"[] []", b'"',
    b'"\n"', b'"\\x"', b'"\\u12g4"', b'"\\u12', b'"\xff"', b'"\xc0\x80"', b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"',
    b'"\xe9"', b"\xef\xbb\xbf[]", b"[1]\0", b"/**/1", b"'a'", b"[" * 65 + b"]" * 65,
]  # fmt: skip

PIECES = [b"[", b"]", b"{", b"}", b",", b":", b'"', b"\\", b"0", b"-", b"e", b"\xc3", b" "]


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sources = [HERE / "json_driver.c", LINUX / "json.c", LINUX / "sha256.c"]
    return compiled(tmp_path_factory.mktemp("json") / "driver", sources, *SANITIZE)


def said(driver: Path, documents: list[bytes]) -> list[list[str]]:
    data = b"".join(struct.pack("<I", len(document)) + document for document in documents)
    done = subprocess.run([driver], input=data, env=ENVIRONMENT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:].decode(errors="replace")
    rows = done.stdout.split(b"\0")[:-1]
    assert len(rows) == len(documents)
    return [row.decode().split("\t") for row in rows]


def is_json(document: bytes) -> bool:
    """Whether Python reads it, as strictly as RFC 8259 is."""

    def refuse(name: str) -> Any:
        raise ValueError(name)

    try:
        text = document.decode()
        value = json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError):
        return False
    return not text.startswith("\ufeff") and depth(value) <= 64


def depth(value: Any) -> int:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if children is None else 1 + max(map(depth, children), default=0)


def test_documents(driver: Path) -> None:
    for document, (digest, verdict, *_) in zip(DOCUMENTS + REFUSED, said(driver, DOCUMENTS + REFUSED), strict=True):
        assert digest == hashlib.sha256(document).hexdigest()
        assert (verdict == "taken") == (document in DOCUMENTS), (document, verdict)
        assert is_json(document) == (document in DOCUMENTS), document


def test_values(driver: Path) -> None:
    assert said(driver, DOCUMENTS)[3][2:] == ["1", "2.5", "-0", "100000", "0.01", "0.125"]
    assert said(driver, [DOCUMENTS[5]])[0][2:] == ['"\U0001f600 \u00e9 \U0001f600"']
    text = json.dumps(["a\u20ac\u07ff\U0010ffff", 1.7976931348623157e308, 5e-324, 0.1]).encode()
    found = said(driver, [text])[0][2:]
    assert found[0] == '"a\u20ac\u07ff\U0010ffff"' and [float(value) for value in found[1:]] == [
        math.nextafter(math.inf, 0),
        5e-324,
        0.1,
    ]


def test_random_damage_is_judged_as_python_judges_it(driver: Path) -> None:
    drawn, cases = random.Random(5), []
    for _ in range(4000):
        document = bytearray(drawn.choice(DOCUMENTS))
        for _ in range(drawn.randint(1, 3)):
            at = drawn.randrange(len(document) + 1)
            if drawn.random() < 0.5:
                document[at:at] = drawn.choice(
                    [b"[", b"]", b"{", b"}", b",", b":", b'"', b"\\", b"0", b"-", b"e", b"\xc3", b" "]
                )
            else:
                del document[at : at + drawn.randint(1, 3)]
        cases.append(bytes(document))
    verdicts = [row[1] == "taken" for row in said(driver, cases)]
    assert 100 < sum(verdicts) < 3000
    for case, verdict in zip(cases, verdicts, strict=True):
        assert verdict == is_json(case), case


def test_digests_of_all_lengths(driver: Path) -> None:
    cases = [bytes(range(256))[:n] * 3 for n in range(200)]
    assert [row[0] for row in said(driver, cases)] == [hashlib.sha256(case).hexdigest() for case in cases]
