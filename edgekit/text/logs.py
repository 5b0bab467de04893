"""What other programs print, as one line for people."""

from __future__ import annotations


def lines(text: str) -> list[str]:
    """Return the lines that are not blank, without the blanks around them."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def last_line(text: str, otherwise: str = "", *, most: int = 200) -> str:
    """Return the last line that is not blank, at most so many characters of it; ``otherwise`` if there is none."""
    found = lines(text)
    return found[-1][:most] if found else otherwise


def first_error(log: str) -> str:
    """Return a compiler's first line on an error; without one, the beginning of what it said."""
    signs = "error", "undefined reference", "overflowed by"
    return next((line for line in log.splitlines() if any(sign in line for sign in signs)), log.strip()[:200])
