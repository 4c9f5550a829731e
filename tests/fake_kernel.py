"""A kernel of plain functions: takes the bytes of a send, keeps sets of keys, and answers as Linux 6.18 does.

`Kernel.send` stands for the socket of nftables (transactions, taken whole or not at all, errors with an offset) and for
that of ipset (each message alone, its first elements kept, the refused one named by its line in the echo).
"""

from __future__ import annotations

import errno
import struct
from typing import Any

from nfa.compiler.base.report import Place, Reports
from nfa.compiler.config.model import Target
from nfa.compiler.provision.provision import provision
from nfa.daemon.netlink import ipset, nftables, wire
from nfa.daemon.targets.counters import Counters
from nfa.daemon.targets.sets.slot import Slot
from nfa.daemon.targets.sets.states import GONE, MADE
from nfa.daemon.targets.sets.writer import Sets

OPTIONS: dict[str, dict[str, Any]] = {
    "nftset": {
        "set_name": "x", "table_name": "t", "table_family": "inet", "families": (4,), "ttl": 60, "type": ("other_addr",),
        "managed": True, "size": 65536, "flush_on_create": False, "flush_on_destroy": False,
    },
    "ipset": {
        "set_name": "x", "type": "hash:ip", "address_type": "other", "families": (4,), "ttl": 60, "managed": True,
        "size": 65536, "flush_on_create": False, "flush_on_destroy": False, "skb_mark": None, "skb_mask": 0xFFFFFFFF,
        "skb_prio": None, "skb_queue": None, "range": None,
    },
}  # fmt: skip


def slot_data(kind: str, name: str = "target", **changed: Any) -> dict[str, Any]:
    """A slot of the policy image, for a kernel that was not asked."""
    target = Target(name, Place("nfa.json", 1, 1), kind, True, "*", OPTIONS[kind] | changed)
    return provision([target], None, Reports())[0]


def key(number: int, slot: int = 0) -> bytes:
    """The packed element 10.0.0.NUMBER."""
    return struct.pack(">HI", slot, 0x0A000000 + number)


class Kernel:
    """`sets` maps a set's name to the keys in it, `limits` to how many it takes; a name that is not there is no set."""

    def __init__(self, *names: str, exact: bool = True) -> None:
        self.sets: dict[str, list[bytes]] = {name: [] for name in names}
        self.limits: dict[str, int] = {}
        self.refused: dict[bytes, int] = {}
        """Keys that are refused, with the error number."""
        self.strange: set[str] = set()
        """Sets of another type than ours."""
        self.used: set[str] = set()
        """Sets that rules use."""
        self.exact = exact
        """Errors carry an offset."""
        self.log: list[tuple[str, str, list[bytes]]] = []
        """What came: command, set, keys, in order."""
        self.sends = 0
        self.lost = 0
        self._sequence = 0
        self.broken = 0
        self.largest = 163_840
        """Bytes that one send takes: the send buffer of a 32-bit kernel."""
        self.silent = False
        self.stubborn = 0
        """The error number of whoever wants to make or delete a set."""
        """The answers of ipset were lost."""

    def reserve(self, count: int) -> int:
        self._sequence += count
        return self._sequence - count + 1

    def close(self) -> None:
        pass

    def send(self, data: bytes) -> list[wire.Failure]:
        self.sends += 1
        if self.broken:
            raise OSError(self.broken, "not now")
        if len(data) > self.largest:
            raise OSError(errno.EMSGSIZE, "Message too long")
        messages, position = [], 0
        while position < len(data):
            length, kind, _, sequence, _ = wire.HEADER.unpack_from(data, position)
            messages.append((kind, sequence, data[position : position + length]))
            position += length
        assert position == len(data)
        if messages[0][0] == nftables.BEGIN:
            assert messages[-1][0] == nftables.END
            return self._transaction(messages[1:-1])
        answers = [self._ipset(*message) for message in messages]
        return [] if self.silent else answers

    def _transaction(self, messages: list[tuple[int, int, bytes]]) -> list[wire.Failure]:
        before, strange = {name: list(keys) for name, keys in self.sets.items()}, set(self.strange)
        failures = []
        for kind, sequence, raw in messages:
            found = dict(wire.attributes(raw[20:]))
            name = found[2].rstrip(b"\0").decode() if 2 in found else ""
            error = self._whole_set(kind, name, 0xA09, 0xA0B, errno.EBUSY)
            if error:
                failures.append(wire.Failure(sequence, error, -1, raw[:16]))
            if kind not in (nftables.NEW, nftables.DEL):
                continue
            if name not in self.sets:
                failures.append(wire.Failure(sequence, errno.ENOENT, 28 if self.exact else -1, raw[:16]))
                continue
            if 3 not in found:  # DELSETELEM without elements
                self.log.append(("flush", name, []))
                self.sets[name].clear()
                continue
            keys = [dict(wire.attributes(dict(wire.attributes(value))[1]))[1] for _, value in wire.attributes(found[3])]
            self.log.append(("add" if kind == nftables.NEW else "del", name, keys))
            offset = raw.index(found[3])
            for one, (_, value) in zip(keys, wire.attributes(found[3]), strict=True):
                error = self._change(name, one, kind == nftables.NEW)
                if error:
                    failures.append(wire.Failure(sequence, error, offset if self.exact else -1, raw[:16]))
                    break
                offset += len(value) + 7 & ~3
        if failures:
            self.sets, self.strange = before, strange
        return failures

    def _ipset(self, kind: int, sequence: int, raw: bytes) -> wire.Failure:
        found = dict(wire.attributes(raw[20:]))
        name = found[2].rstrip(b"\0").decode()
        error = self._whole_set(kind, name, 0x602, 0x603, ipset.IPSET_ERR_BUSY)
        if error:
            # DESTROY without EXCL takes a set that is not there for destroyed.
            return wire.Failure(sequence, 0 if error == errno.ENOENT else error, -1, raw)
        if kind in (0x602, 0x603):
            return wire.Failure(sequence, 0, -1, raw[:16])
        if name not in self.sets:
            return wire.Failure(sequence, errno.ENOENT, -1, raw)
        elif kind == 0x604:
            self.log.append(("flush", name, []))
            self.sets[name].clear()
        elif kind in (ipset.ADD, ipset.DEL):
            data = [dict(wire.attributes(value)) for _, value in wire.attributes(found[8])]
            keys = [dict(wire.attributes(each[1]))[1] for each in data]
            self.log.append(("add" if kind == ipset.ADD else "del", name, keys))
            for each, one in zip(data, keys, strict=True):
                error = self._change(name, one, kind == ipset.ADD, ipset.IPSET_ERR_HASH_FULL)
                if error and kind == ipset.ADD:  # deleting what is not there is fine, without the flag for it
                    at = raw.index(wire.attribute(9, b"\0" * 4))
                    return wire.Failure(sequence, error, -1, raw[: at + 4] + each[9] + raw[at + 8 :])
        return wire.Failure(sequence, 0, -1, raw[:16])

    def _whole_set(self, kind: int, name: str, create: int, delete: int, in_use: int) -> int:
        if self.stubborn and kind in (create, delete):
            return self.stubborn
        if kind == create and name in self.strange:
            return errno.EEXIST
        if kind == create:
            self.sets.setdefault(name, [])
        if kind == delete and name in self.used:
            return in_use
        if kind == delete and name not in self.sets:
            return errno.ENOENT
        if kind == delete:
            del self.sets[name]
            self.strange.discard(name)
        return 0

    def _change(self, name: str, one: bytes, new: bool, full: int = errno.ENFILE) -> int:
        if one in self.refused:
            return self.refused[one]
        if name in self.strange and new:
            return errno.EINVAL if full == errno.ENFILE else 4097  # IPSET_ERR_PROTOCOL
        there = one in self.sets[name]
        if new and not there:
            if len(self.sets[name]) >= self.limits.get(name, 1 << 20):
                return full
            self.sets[name].append(one)
        elif not new:
            if not there:
                return errno.ENOENT
            self.sets[name].remove(one)
        return 0


class Mute:
    """A socket for questions to a kernel that answers none: sets count as those of single keys."""

    def ask(self, request: bytes) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    def close(self) -> None:
        pass


class Bench:
    """Slots, the kernel they write to, and what the administrator was told."""

    def __init__(self, kind: str = "nftset", *, exact: bool = True, there: bool = True, **options: Any) -> None:
        self.kernel = Kernel(*["x.v4"] if there else [], exact=exact)
        self.said: list[tuple[str, str]] = []
        self.told: list[tuple[str, ...]] = []
        self.sets = Sets(lambda level, text: self.said.append((level, text)), lambda *news: self.told.append(news))
        self.sets._nft = self.sets._ipset = self.kernel  # type: ignore[assignment]
        self.sets._dump = Mute()  # type: ignore[assignment]
        self.slot = Slot(0, slot_data(kind, **options), Counters("target", kind))
        self.slot.state.happens(MADE if there else GONE, 0)

    @property
    def held(self) -> list[int]:
        """The last bytes of the addresses in the set."""
        return sorted(one[-1] for one in self.kernel.sets["x.v4"])

    def want(self, now: int, *numbers: int) -> None:
        """Flows want elements, and the turn of the loop ends."""
        for number in numbers:
            self.slot.want(key(number), now)
        self.sets.commit([self.slot], now)
