"""Netlink messages as bytes, encoded by pyroute2's message classes (0.7.9 and 0.9 encode alike).

In: a message class of pyroute2, a command and its attributes. Out: one complete message, header included,
whose sequence number and port id are 0: whoever sends it fills in the first and asks for an ACK.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyroute2.netlink import NLM_F_CREATE, NLM_F_REQUEST

# An attribute is (pyroute2's name, value) or (name, value, flag bits of nla_type).
Attributes = Sequence[tuple[Any, ...]]


def message(
    kind: type[Any],
    subsystem: int,
    command: int,
    family: int,
    attributes: Attributes,
    *,
    create: bool = False,
) -> bytes:
    """One netfilter netlink message.

    `subsystem` << 8 | `command` is the message type, `family` the nfproto of nfgenmsg. With `create` the
    CREATE flag is set; EXCL never is, so that making what is already there is no error.
    """
    encoded = kind()
    encoded["header"]["type"] = subsystem << 8 | command
    encoded["header"]["flags"] = NLM_F_REQUEST | (NLM_F_CREATE if create else 0)
    encoded["nfgen_family"] = family
    encoded["attrs"] = list(attributes)
    encoded.encode()
    return bytes(encoded.data)
