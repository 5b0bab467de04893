"""``python without_networks.py ARGUMENTS...``: run Python where the kernel makes no network namespaces."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
from edgekit.sandbox import namespaces


def forbid() -> None:
    """In a user namespace of this process's own, whose limit of networks is 0; none below it allows more."""
    user, group = os.geteuid(), os.getegid()
    if namespaces._libc.unshare(namespaces.NEW_USER) != 0:
        sys.exit("no user namespaces here")
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        Path(f"/proc/self/{name}").write_text(text)
    Path("/proc/sys/user/max_net_namespaces").write_text("0")


if __name__ == "__main__":
    forbid()
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
