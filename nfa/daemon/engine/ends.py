"""Exchanges the two ends of a flow record: every field that belongs to one of them.

In and out: the `flow` of a record, which is changed.
"""

MYPY = False
if MYPY:
    from typing import Any

    Flow = dict[str, Any]


def turn(flow: "Flow") -> None:
    """Exchange the two ends of a flow."""
    for name in ("ip", "mac", "port", "bytes", "packets", "rate"):
        _swap(flow, "local_" + name, "other_" + name)
    if isinstance(flow.get("local_origin"), bool):
        flow["local_origin"] = not flow["local_origin"]
    category = flow.get("category")
    if isinstance(category, dict):
        _swap(category, "local_network", "other_network")


def _swap(table: "Flow", mine: str, far: str) -> None:
    """Exchange two fields, of which one may be missing."""
    for name, value in ((mine, table.pop(far, None)), (far, table.pop(mine, None))):
        if value is not None:
            table[name] = value
