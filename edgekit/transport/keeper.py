"""The folder on a device: a shell script holds it and removes it when the script's input ends.

That happens when the connection is closed, when this process is killed, and when the network or the cable breaks.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

# Where programs may not be started (noexec), the folder moves to a place where they may, if there is one: an empty
# file that is executable is a script that does nothing.
# The pid file names the program that is running, so that it ends before the folder does; what it started may still
# write for a moment, so that the folder is not empty when it is to go.
KEEPER = (
    'd=$(mktemp -d "${TMPDIR:-/tmp}/edgekit.XXXXXX") || exit 73; '
    'ok() { : >"$1/x" && chmod 700 "$1/x" && "$1/x" 2>/dev/null; s=$?; rm -f "$1/x"; return $s; }; '
    'ok "$d" || for t in /var/tmp "$HOME" /dev/shm; do e=$(mktemp -d "$t/edgekit.XXXXXX" 2>/dev/null) || continue; '
    'if ok "$e"; then rmdir "$d"; d=$e; break; fi; rmdir "$e"; done; '
    'end() { p=$(cat "$d/pid" 2>/dev/null) && kill "$p" 2>/dev/null && n=0 && while kill -0 "$p" 2>/dev/null; do '
    'n=$((n+1)); [ $n -lt 50 ] || kill -9 "$p"; [ $n -lt 60 ] || break; sleep 0.1 2>/dev/null || sleep 1; done; '
    'n=0; until rm -rf "$d" 2>/dev/null; do n=$((n+1)); [ $n -lt 5 ] || break; sleep 1; done; }; trap end EXIT; '
    'trap "exit 0" HUP INT TERM PIPE; '
    'echo; echo "edgekit $d $(uname -m)"; cat >/dev/null'
)
GREETING = re.compile(r"edgekit (/.*/edgekit\.\w+) (\w+)")


def kept(command: Sequence[str]) -> str:
    """A script that runs a program which ends, at the latest, when the folder goes; its status is the program's."""
    return f'sh -c \'echo $$ >pid; exec "$0" "$@"\' {shlex.join(command)}; s=$?; rm -f pid; exit $s'
