"""How a flow record becomes a packed element: the Python source of one function for each slot.

In: a slot's kind, fields and family. Out: source text that the compiler puts into the policy image beside the decision.
The function takes (record, flow) and returns the slot's number (2 bytes, network order) and the fields in network order
without padding, or raises ValueError when the record lacks a field that the element needs. Targets that change conntrack
entries have the packed connection in place of the fields, those of PF an address of either IP version.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nfa.daemon.netlink import ipset, nftables

_SOURCES = {
    "local_addr": ("address(f['local_ip'])", True),
    "other_addr": ("address(f['other_ip'])", True),
    "local_mac": ("mac(f.get('local_mac', ''))", True),
    "other_mac": ("mac(f.get('other_mac', ''))", True),
    "local_port": ("f.get('local_port', 0)", False),
    "other_port": ("f.get('other_port', 0)", False),
    "ip_proto": ("f['ip_protocol']", False),
    # Host order, as the kernel keeps a mark; an interface's name fills 16 bytes.
    "mark": ("mark_bytes(f)", True),
    "interface": ("r.get('interface', '').encode()[:15]", True),
}
_INTEGERS = {1: "B", 2: "H"}


def key_source(name: str, slot: Mapping[str, Any]) -> str:
    """Return the source of the function `name` for a slot. The slot's number is the global `S_NAME`."""
    if slot["kind"] == "pftable":
        return f"def {name}(r, f): return pack('>H', S_{name}) + address(f['{slot['type']}_ip'])\n"
    if slot["kind"] not in ("ipset", "nftset"):
        return f"def {name}(r, f): return pack('>H', S_{name}) + connection(f)\n"
    fields: tuple[str, ...] = slot["fields"]
    family: int = slot["family"]
    nft = slot["kind"] == "nftset"
    pattern = ">H"
    lines = []
    arguments = []
    for field in fields:
        size = (nftables.width if nft else ipset.width)(field, family)
        source, is_bytes = _SOURCES[field]
        pattern += f"{size}s" if is_bytes else _INTEGERS[size]
        local = f"v_{field}"
        lines.append(f"{local} = {source}")
        if field.endswith("_addr"):
            lines.append(f"if len({local}) != {size}: raise ValueError('{field} is of the other IP version')")
        if field == "other_port" and slot.get("range"):
            first, last = slot["range"]
            lines.append(f"if not {first} <= {local} <= {last}: raise ValueError('{field} is outside the range of the set')")
        if field.endswith("_addr") and slot.get("range"):
            first, last = (bound.to_bytes(4, "big") for bound in slot["range"])
            message = f"{field} is outside the range of the set"
            lines.append(f"if not {first!r} <= {local} <= {last!r}: raise ValueError('{message}')")
        arguments.append(local)
    body = "\n".join(f"    {line}" for line in lines)
    return f"def {name}(r, f):\n{body}\n    return pack('{pattern}', S_{name}, {', '.join(arguments)})\n"
