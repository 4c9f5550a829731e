"""What sets are called, and what is said of one that no rule uses: by the compiler as well, from the same data."""

MYPY = False
if MYPY:
    from typing import Any


def named(data: "dict[str, Any]") -> str:
    """Return what the set of a slot is called, by its data in the policy image."""
    if data["kind"] == "pftable":
        return "PF table " + (data["table"] + " " if data["table"] else "") + str(data["set"])
    kind = "ipset " if data["kind"] == "ipset" else "nftables map " if "map" in data else "nftables set " + data["table"] + " "
    return kind + str(data["set"])


def unused(data: "dict[str, Any]") -> tuple[str, str]:
    """Return message and hint of the finding about the set of a slot."""
    what = "target '" + data["target"] + "': " + named(data) + " is used by no rule: nothing happens to these flows"
    return what, "to drop their packets, for example: " + data["rule"] + " (docs/own-rules.md shows where rules last)"
