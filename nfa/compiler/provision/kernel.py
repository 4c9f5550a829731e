"""What the kernel holds: nftables sets, ipsets, and which revisions of ipset types it knows.

In: names. Out: `NftSet` and `IpSet`, or None for what is not there. It asks over netlink in the network
namespace it runs in, and changes nothing. Whatever keeps it from asking (no CAP_NET_ADMIN, no kernel
module) is `KernelUnavailable`.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from nfa.daemon.netlink import ipset_sets, nftables, nftables_sets, rule_dumps
from nfa.daemon.netlink.ipset import IPSET_ATTR_TIMEOUT, IPSET_ERR_FIND_TYPE
from nfa.daemon.netlink.ipset_sets import (
    IPSET_ATTR_CADT_FLAGS,
    IPSET_ATTR_IP_FROM,
    IPSET_ATTR_IP_TO,
    IPSET_ATTR_MAXELEM,
    IPSET_ATTR_PORT_FROM,
    IPSET_ATTR_PORT_TO,
    IPSET_FLAG_WITH_SKBINFO,
)
from nfa.daemon.netlink.monitor import IPSET_ATTR_REFERENCES
from nfa.daemon.netlink.nftables_sets import NFT_SET_TIMEOUT
from nfa.daemon.netlink.question import Questions
from nfa.daemon.netlink.socket import Netlink
from nfa.daemon.netlink.wire import NLM_F_ACK, with_sequence

_SPANS = ((IPSET_ATTR_PORT_FROM, IPSET_ATTR_PORT_TO), (IPSET_ATTR_IP_FROM, IPSET_ATTR_IP_TO))


class KernelUnavailable(Exception):
    """The kernel cannot be asked; the text says why, in words for the user."""


@dataclass(frozen=True)
class NftSet:
    """An nftables set.

    `timeout` is the default timeout of an element in seconds: 0 for never, None when the set
    has no timeouts at all.
    """

    key_type: int
    key_length: int
    flags: int  # NFT_SET_*
    timeout: float | None
    size: int  # elements; 0 without limit


@dataclass(frozen=True)
class IpSet:
    """An ipset. `timeout` as in `NftSet`; `family` is AF_INET, AF_INET6 or AF_UNSPEC."""

    type: str
    family: int
    timeout: int | None
    size: int  # elements; 0 for a bitmap
    flags: int  # IPSET_FLAG_WITH_*
    span: tuple[int, int] | None  # first and last address or port of a bitmap
    uses: int = 0  # rules, lists of sets and the like that hold it: while there is one, it cannot be destroyed

    @property
    def skbinfo(self) -> bool:
        return bool(self.flags & IPSET_FLAG_WITH_SKBINFO)


class Kernel:
    """The running kernel's sets. A socket is opened when first needed; use it in a `with` statement."""

    def __init__(self) -> None:
        self._questions = Questions()
        self._protocol = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket; a later question opens it again."""
        self._questions.close()

    def nft_set(self, table_family: int, table: str, name: str) -> NftSet | None:
        """The set `name` of `table`, None when either is not there. Raises KernelUnavailable."""
        request = nftables_sets.ask_set(self._questions.number(), table_family, table, name)
        with _asking("nftables", "nf_tables"):
            answer = self._first(request, errno.ENOENT)
        if answer is None:
            return None
        found = nftables_sets.read_set(answer)
        return NftSet(
            key_type=found["key_type"],
            key_length=found["key_length"],
            flags=found["flags"],
            timeout=found["timeout"] / 1000 if found["flags"] & NFT_SET_TIMEOUT else None,
            size=found["size"],
        )

    def nft_rules(self, table_family: int, table: str, name: str) -> list[tuple[str, int]]:
        """The rules that use the set `name` of `table`: the chain and the handle of each. Raises KernelUnavailable."""
        return [(chain, handle) for chain, handle, sets in self._rules(table_family, table) if name in sets]

    def nft_used(self, table_family: int, table: str) -> set[str]:
        """The names of the sets that rules of `table` use. Raises KernelUnavailable."""
        return {name for _, _, sets in self._rules(table_family, table) for name in sets}

    def _rules(self, table_family: int, table: str) -> list[tuple[str, int, set[str]]]:
        """Each rule of `table`: its chain, its handle, and the sets that it uses."""
        with _asking("nftables", "nf_tables"):
            answers = self._questions.ask(rule_dumps.ask_rules(self._questions.number(), table_family, table))
        return [rule_dumps.read_rule(answer, table_family, table) for answer in answers]

    def nft_changes(self, wanted: Sequence[bytes], strange: Sequence[bytes]) -> bool:
        """Whether the kernel changes the timeout or size of a set that is there. Raises KernelUnavailable.

        `wanted` are the messages that would make the set with other ones, `strange` those of a set of another type. Neither is
        done: a transaction without an end is only checked (as `nft --check` has it checked). Kernels that change nothing take
        both in silence (before 6.2, and their stable updates of 2023), or refuse another size (before 6.5).
        """
        with _asking("nftables", "nf_tables"):
            return self._check(strange)[0] == errno.EEXIST and not self._check(wanted)[0]

    def nft_refuses(self, messages: Sequence[bytes]) -> tuple[int, int]:
        """The first error of a transaction that is not committed, and which message it is of; (0, 0): there is none.

        Raises KernelUnavailable where nobody may ask. What the kernel lacks is an error like any other.
        """
        with _asking("nftables", "nf_tables"):
            return self._check(messages)

    def _check(self, messages: Sequence[bytes]) -> tuple[int, int]:
        """The first error of a transaction that is checked only, and the index of its message. Raises OSError."""
        netlink = Netlink(True)
        try:
            first = netlink.reserve(len(messages) + 1)
            batch = [with_sequence(one, first + 1 + index, NLM_F_ACK) for index, one in enumerate(messages)]
            answers = netlink.send(b"".join([nftables.begin(first), *batch]))
        finally:
            netlink.close()
        failed = [(answer.sequence - first - 1, answer.error) for answer in answers if answer.error]
        if any(error in (errno.EPERM, errno.EACCES) for _, error in failed):
            raise PermissionError(errno.EPERM, "netlink")
        index, error = min(failed, default=(0, 0))
        return error, index

    def ipset(self, name: str) -> IpSet | None:
        """The ipset `name`, or None when it is not there. Raises KernelUnavailable."""
        protocol = self.ipset_protocol()
        with _asking("ipset", "ip_set"):
            answer = self._first(ipset_sets.ask_header(name, protocol, self._questions.number()), errno.ENOENT)
        if answer is None:
            return None
        set_type, family, numbers = ipset_sets.read_header(answer)
        spans = [(numbers[first], numbers[last]) for first, last in _SPANS if first in numbers and last in numbers]
        return IpSet(
            type=set_type,
            family=family,
            timeout=numbers.get(IPSET_ATTR_TIMEOUT),
            size=numbers.get(IPSET_ATTR_MAXELEM, 0),
            flags=numbers.get(IPSET_ATTR_CADT_FLAGS, 0),
            span=spans[0] if spans else None,
            uses=numbers.get(IPSET_ATTR_REFERENCES, 0),
        )

    def ipset_protocol(self) -> int:
        """The newest ipset protocol that the kernel and this package know. Raises KernelUnavailable."""
        if not self._protocol:
            with _asking("ipset", "ip_set"):
                (answer,) = self._questions.ask(ipset_sets.ask_protocol(self._questions.number()))
            self._protocol = ipset_sets.read_protocol(answer)
        return self._protocol

    def ipset_revisions(self, set_type: str, family: int) -> tuple[int, int] | None:
        """The oldest and newest revision of `set_type` for AF_* `family`, None for a type the kernel lacks.

        Raises KernelUnavailable.
        """
        protocol = self.ipset_protocol()
        with _asking("ipset", "ip_set"):
            request = ipset_sets.ask_type(self._questions.number(), set_type, family, protocol)
            answer = self._first(request, IPSET_ERR_FIND_TYPE)
        return None if answer is None else ipset_sets.read_type(answer)

    def _first(self, request: bytes, missing: int) -> bytes | None:
        """The first message of the answer; None for the error `missing`. Raises OSError."""
        try:
            answers = self._questions.ask(request)
        except OSError as error:
            if error.errno == missing:
                return None
            raise
        return answers[0] if answers else None


@contextmanager
def _asking(what: str, module: str) -> Iterator[None]:
    """Turn whatever the kernel or the socket refuses into KernelUnavailable."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EACCES):
            raise KernelUnavailable("nfa needs CAP_NET_ADMIN: run it as root") from error
        # nfnetlink answers EINVAL for a subsystem that is not loaded and cannot be.
        if error.errno in (errno.EINVAL, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT):
            raise KernelUnavailable(f"it has no {what} (is the kernel module {module} installed?)") from error
        raise KernelUnavailable(f"{what} does not answer: {error}") from error
