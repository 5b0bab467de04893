"""Run the table of operator cases on every backend and rewrite ``docs/operators.md``: ``make ops``."""

from __future__ import annotations

import sys
from collections import Counter
from time import perf_counter

from edgekit.files.documents import write_text
from tests.ops.columns import COLUMNS
from tests.ops.support import PAGE, written


def main() -> int:
    """Print a line for each column; the page is rewritten unless a result is wrong."""
    failed = False
    for column in COLUMNS:
        start = perf_counter()
        if missing := column.missing():
            print(f"{column}: {missing}", file=sys.stderr)
            return 4
        counts = Counter(row.status for row in column.results)
        words = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
        print(f"{column}: {words} ({perf_counter() - start:.0f} s)", flush=True)
        for row in column.results:
            if row.status == "wrong":
                failed = True
                print(f"  {row.case.name}: {row.words}")
    if not failed:
        write_text(PAGE, written(PAGE.read_text(), COLUMNS))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
