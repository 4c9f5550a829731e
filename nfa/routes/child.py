"""The child: brings rules and routes of other WANs to what they should be now, and exits.

In: standard input, a JSON list of WANs (name, device, mark, mask, table, priority, fallback); an empty one takes all back. Out:
standard output, a JSON object: `changed`, how many rules and routes; `up`, the IP versions of each WAN that has a way now;
`devices`, their indexes by name; `strict`, devices that drop answers; `problem`, why not all could be done, or "", and its
`code`.
"""

from __future__ import annotations

import errno
import json
import sys
from typing import Any

NO_PYROUTE2 = "pyroute2 is not installed"
_STRICT = "1"


def main() -> int:
    """Do it once."""
    wans = json.load(sys.stdin)
    json.dump(_answer(wans), sys.stdout)
    return 0


def _answer(wans: list[dict[str, Any]]) -> dict[str, Any]:
    none: dict[str, Any] = {"changed": 0, "up": {}, "devices": {}, "strict": []}
    try:
        from nfa.routes.kernel import bring
    except ImportError:
        return none | {"problem": NO_PYROUTE2, "code": "route-no-pyroute2"}
    try:
        found = bring(wans)
    except OSError as failure:  # NetlinkError is none
        return none | {"problem": failure.strerror or str(failure), "code": "route-refused"}
    except Exception as failure:
        code = getattr(failure, "code", 0)
        words = "the daemon lacks the right (CAP_NET_ADMIN)" if code == errno.EPERM else str(failure)
        return none | {"problem": words, "code": "route-refused"}
    found["code"] = "route-refused" if found["problem"] else ""
    found["strict"] = [wan["device"] for wan in wans if wan["device"] in found["devices"] and _drops_answers(wan["device"])]
    return found


def _drops_answers(device: str) -> bool:
    """Whether packets that come from where the usual way does not lead are dropped there (rp_filter 1, RFC 3704 strict)."""
    values = []
    for name in (device, "all"):
        try:
            with open(f"/proc/sys/net/ipv4/conf/{name}/rp_filter", encoding="ascii") as file:
                values.append(file.read().strip())
        except OSError:
            values.append("0")
    return max(values) == _STRICT
