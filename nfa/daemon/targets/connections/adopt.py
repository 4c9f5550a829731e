"""Has connections that began before nfa begin again, so that netifyd reports them and policies are applied to them.

In: the router's own addresses, connections that are known already. Out: deleted conntrack entries of forwarded connections,
and a RST for each TCP connection at its next packet. Connections of the router itself (SSH, LuCI, DNS) are left alone.

A TCP client connects again with another port, which netifyd reports as a new flow. Deleting the entry alone would not do:
conntrack picks a running connection up again, and netifyd goes by packets. A UDP flow is reported again only after it was
idle for 30 seconds; deleting its entry has it meet the firewall's rules like a new one.
"""

import errno
import struct

from ...engine.addresses import is_special
from ...netlink import conntrack, nftables, nftables_reset
from ...netlink.socket import Dump, Netlink, describe
from ...netlink.wire import NLM_F_ACK, NLMSG_DONE, NLMSG_ERROR, NUMBER, attributes, messages, with_sequence

MYPY = False
if MYPY:
    from collections.abc import Callable, Container, Iterator
    from typing import Any

    Work = Iterator[None]

MAX_ADOPTED = 8192
"""Connections of one call; those beyond are counted, for another call."""
LASTING = 600
"""Seconds in which a TCP connection is reset, at its next packet."""
BATCH = 64
"""Entries of conntrack that are deleted in one turn of the loop; as many connections are put into a set."""
_TCP, _UDP = 6, 17


class Refused(Exception):
    """The kernel does not do it; the words say why."""


class Entry:
    """A forwarded connection: its tuple as conntrack has it, and its ends as they are forwarded."""

    __slots__ = ("ends", "protocol", "tuple", "version")

    def __init__(self, version: int, protocol: int, payload: bytes, ends: "tuple[bytes, bytes]") -> None:
        self.version = version
        self.protocol = protocol
        self.tuple = payload
        self.ends = ends
        """Address and port of the one that opened it, and of the one that answers."""


class Adoption:
    """`own`: the router's addresses, packed. `known(version, protocol, ends)`: whether a connection need not begin again."""

    def __init__(self, own: "Container[bytes]", known: "Callable[[int, int, tuple[bytes, bytes]], bool]") -> None:
        self._own = own
        self._known = known
        self._dump = Dump()
        self._nft = Netlink(True)
        self._conntrack = Netlink(False)
        self.found: list[Entry] = []
        self.left = 0
        """Connections beyond the bound; `routers`: those of the router itself; `judged`: those that are known."""
        self.routers = 0
        self.judged = 0
        self.deleted = 0

    def close(self) -> None:
        for each in (self._dump, self._nft, self._conntrack):
            each.close()

    def search(self) -> "Work":
        """Read conntrack, a datagram a turn. Raises OSError."""
        for number, (version, protocol) in enumerate(((4, _TCP), (4, _UDP), (6, _TCP), (6, _UDP)), 1):
            self._dump.ask(conntrack.read(number, version, protocol, False))
            ended = False
            while not ended:
                data = self._dump.next()
                if not data:
                    raise OSError(errno.EIO, "the kernel does not go on")
                for kind, _, sequence, start, end in messages(data):
                    if sequence != number:
                        continue
                    if kind in (NLMSG_DONE, NLMSG_ERROR):
                        error = -NUMBER.unpack_from(data, start)[0]
                        if error:
                            raise OSError(error, describe(error))
                        ended = True
                    elif kind == conntrack.UPDATE:
                        self._take(version, protocol, data[start + 4 : end])
                yield

    def _take(self, version: int, protocol: int, payload: bytes) -> None:
        found = dict(attributes(payload))
        original, reply = found.get(conntrack.CTA_TUPLE_ORIG), found.get(conntrack.CTA_TUPLE_REPLY)
        if original is None or reply is None or conntrack.protocol_of(original) != protocol:
            return
        opener, answerer = conntrack.ends(original)[0], conntrack.ends(reply)[0]
        if is_special(opener[:-2]) or is_special(answerer[:-2]):
            return
        if opener[:-2] in self._own or answerer[:-2] in self._own:
            self.routers += 1
        elif self._known(version, protocol, (opener, answerer)):
            self.judged += 1
        elif len(self.found) >= MAX_ADOPTED:
            self.left += 1
        else:
            self.found.append(Entry(version, protocol, original, (opener, answerer)))

    def count(self, protocol: int) -> int:
        return sum([1 for entry in self.found if entry.protocol == protocol])

    def carry_out(self) -> "Work":
        """Reset and delete what was found, some in a turn. Raises Refused."""
        self._transact([nftables_reset.destroy()], errno.ENOENT)
        self._transact(nftables_reset.make(LASTING))
        for start in range(0, len(self.found), BATCH):
            part = self.found[start : start + BATCH]
            batch = []
            for version in (4, 6):
                keys: list[bytes] = []
                for entry in part:
                    if entry.version == version and entry.protocol == _TCP:
                        # Packets of either direction: each end is told.
                        keys += [b"\0\0" + entry.ends[0] + entry.ends[1], b"\0\0" + entry.ends[1] + entry.ends[0]]
                sizes = nftables.widths(nftables_reset.FIELDS, version)
                encoder = nftables.Elements(nftables_reset.INET, nftables_reset.TABLE, nftables_reset.SET[version], sizes, -1)
                if keys:
                    batch.append(encoder.encode(nftables.NEW, 0, list(dict.fromkeys(keys))))
            self._transact(batch)
            self._delete(part)
            yield

    def withdraw(self) -> None:
        """Delete the table again."""
        self._transact([nftables_reset.destroy()], errno.ENOENT)

    def _transact(self, batch: list[bytes], allowed: int = 0) -> None:
        if not batch:
            return
        first = self._nft.reserve(len(batch) + 2)
        whole = [nftables.begin(first)]
        whole += [with_sequence(one, first + 1 + index, NLM_F_ACK) for index, one in enumerate(batch)]
        whole.append(nftables.end(first + 1 + len(batch)))
        try:
            failures = [failure.error for failure in self._nft.send(b"".join(whole)) if failure.error not in (0, allowed)]
        except OSError as failure:
            failures = [failure.errno or errno.EIO]
        if failures:
            raise Refused("nftables: " + describe(failures[0]))

    def _delete(self, part: list[Entry]) -> None:
        first = self._conntrack.reserve(len(part))
        data = [
            with_sequence(conntrack.encode_raw(conntrack.DELETE, 0, entry.version, entry.tuple, b""), first + index, NLM_F_ACK)
            for index, entry in enumerate(part)
        ]
        try:
            self.deleted += len([1 for answer in self._conntrack.send(b"".join(data)) if not answer.error])
        except OSError as failure:
            raise Refused("conntrack: " + describe(failure.errno or errno.EIO)) from None


def summary(adoption: Adoption, dry: bool) -> "dict[str, Any]":
    """Return what was found and done, as plain data."""
    return {
        "dry_run": dry,
        "tcp": adoption.count(_TCP),
        "udp": adoption.count(_UDP),
        "left": adoption.left,
        "routers": adoption.routers,
        "judged": adoption.judged,
        "deleted": adoption.deleted,
        "seconds": LASTING,
    }


def key_of(version: int, protocol: int, ends: "tuple[bytes, bytes]") -> bytes:
    """Return a connection, packed as in `netlink.conntrack`."""
    return struct.pack(">BB", version, protocol) + ends[0][:-2] + ends[1][:-2] + ends[0][-2:] + ends[1][-2:]
