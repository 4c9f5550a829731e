"""What the kernel holds: nftables sets, ipsets, and which revisions of ipset types it knows.

In: names. Out: `NftSet` and `IpSet`, or None for what is not there. It asks over netlink with pyroute2 in the
network namespace it runs in, and changes nothing. Whatever keeps it from asking (no CAP_NET_ADMIN, no kernel
module) is `KernelUnavailable`.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any, Self

from pyroute2 import IPSet
from pyroute2.netlink import NLM_F_DUMP, NLM_F_REQUEST
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.nfnetlink.ipset import (
    IPSET_ERR_FIND_TYPE,
    IPSET_FLAG_LIST_HEADER,
    IPSET_FLAG_WITH_SKBINFO,
)
from pyroute2.netlink.nfnetlink.nftsocket import (
    NFT_MSG_GETRULE,
    NFT_MSG_GETSET,
    NFTSocket,
    nft_rule_msg,
    nft_set_msg,
)

from nfa.compiler.provision.ipset import PROTOCOL

# Expressions of a rule that use a set, and their attribute with its name.
_USING = {"lookup": "NFTA_LOOKUP_SET", "dynset": "NFTA_DYNSET_SET_NAME", "objref": "NFTA_OBJREF_SET_NAME"}


class KernelUnavailable(Exception):
    """The kernel cannot be asked; the text says why, in words for the user."""


@dataclass(frozen=True)
class NftSet:
    """An nftables set.

    `timeout` is the time in seconds after which an element goes by default: 0 for never, None when the set
    has no timeouts at all.
    """

    key_type: int
    key_length: int
    flags: frozenset[str]
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
    """The running kernel's sets. Sockets are opened when first needed; use it in a `with` statement."""

    def __init__(self) -> None:
        self._nft: dict[int, Any] = {}
        self._ipset: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the sockets; a later question opens them again."""
        for opened in (*self._nft.values(), self._ipset):
            if opened is not None:
                opened.close()
        self._nft, self._ipset = {}, None

    def nft_set(self, table_family: int, table: str, name: str) -> NftSet | None:
        """The set `name` of `table`, None when either is not there. Raises KernelUnavailable."""
        request = nft_set_msg()
        request["attrs"] = [("NFTA_SET_TABLE", table), ("NFTA_SET_NAME", name)]
        with _asking("nftables", "nf_tables"):
            try:
                found = self._tables(table_family).request_get(request, NFT_MSG_GETSET, msg_flags=NLM_F_REQUEST)[0]
            except NetlinkError as error:
                if error.code == errno.ENOENT:
                    return None
                raise
        flags = found.get_attr("NFTA_SET_FLAGS") or frozenset()
        description = found.get_attr("NFTA_SET_DESC")
        return NftSet(
            key_type=found.get_attr("NFTA_SET_KEY_TYPE") or 0,
            key_length=found.get_attr("NFTA_SET_KEY_LEN"),
            flags=flags,
            timeout=(found.get_attr("NFTA_SET_TIMEOUT") or 0) / 1000 if "NFT_SET_TIMEOUT" in flags else None,
            size=(description and description.get_attr("NFTA_SET_DESC_SIZE")) or 0,
        )

    def nft_rules(self, table_family: int, table: str, name: str) -> list[tuple[str, int]]:
        """The rules that use the set `name` of `table`: the chain and the handle of each. Raises KernelUnavailable."""
        request = nft_rule_msg()
        request["attrs"] = [("NFTA_RULE_TABLE", table)]
        found: list[tuple[str, int]] = []
        with _asking("nftables", "nf_tables"):
            rules = self._tables(table_family).request_get(request, NFT_MSG_GETRULE, msg_flags=NLM_F_REQUEST | NLM_F_DUMP)
            for rule in rules:
                # Before 4.17 or so the kernel does not choose by the table.
                if rule.get_attr("NFTA_RULE_TABLE") != table or rule["nfgen_family"] != table_family:
                    continue
                for expression in rule.get_attr("NFTA_RULE_EXPRESSIONS") or []:
                    attribute = _USING.get(expression.get_attr("NFTA_EXPR_NAME"))
                    if attribute and expression.get_attr("NFTA_EXPR_DATA").get_attr(attribute) == name:
                        found.append((rule.get_attr("NFTA_RULE_CHAIN"), rule.get_attr("NFTA_RULE_HANDLE")))
                        break
        return found

    def ipset(self, name: str) -> IpSet | None:
        """The ipset `name`, or None when it is not there. Raises KernelUnavailable."""
        with _asking("ipset", "ip_set"):
            try:
                found = list(self._ipsets().list(name, flags=IPSET_FLAG_LIST_HEADER))
            except NetlinkError as error:
                if error.code == errno.ENOENT:
                    return None
                raise
        if not found:
            return None
        data = found[0].get_attr("IPSET_ATTR_DATA")
        return IpSet(
            type=found[0].get_attr("IPSET_ATTR_TYPENAME"),
            family=found[0].get_attr("IPSET_ATTR_FAMILY"),
            timeout=data.get_attr("IPSET_ATTR_TIMEOUT"),
            size=data.get_attr("IPSET_ATTR_MAXELEM") or 0,
            flags=data.get_attr("IPSET_ATTR_CADT_FLAGS") or 0,
            span=_span(data),
            uses=data.get_attr("IPSET_ATTR_REFERENCES") or 0,
        )

    def ipset_protocol(self) -> int:
        """The newest ipset protocol that the kernel and this package know. Raises KernelUnavailable."""
        with _asking("ipset", "ip_set"):
            answer: int = self._ipsets().get_proto_version()[0].get_attr("IPSET_ATTR_PROTOCOL")
        return min(PROTOCOL, answer)

    def ipset_revisions(self, set_type: str, family: int) -> tuple[int, int] | None:
        """The oldest and newest revision of `set_type` for AF_* `family`, None for a type the kernel lacks.

        Raises KernelUnavailable.
        """
        with _asking("ipset", "ip_set"):
            try:
                oldest, newest = self._ipsets().get_supported_revisions(set_type, family)
            except NetlinkError as error:
                if error.code == IPSET_ERR_FIND_TYPE:
                    return None
                raise
        return oldest, newest

    def _tables(self, family: int) -> Any:
        if family not in self._nft:
            self._nft[family] = NFTSocket(nfgen_family=family)
        return self._nft[family]

    def _ipsets(self) -> Any:
        if self._ipset is None:
            self._ipset = IPSet()
        return self._ipset


def _span(data: Any) -> tuple[int, int] | None:
    """The first and last address or port in the header of a bitmap; None for other types."""
    ports = data.get_attr("IPSET_ATTR_PORT_FROM"), data.get_attr("IPSET_ATTR_PORT_TO")
    if None not in ports:
        return ports
    ends = [data.get_attr("IPSET_ATTR_IP_FROM"), data.get_attr("IPSET_ATTR_IP_TO")]
    if None in ends:
        return None
    first, last = (int(IPv4Address(end.get_attr("IPSET_ATTR_IPADDR_IPV4"))) for end in ends)
    return first, last


@contextmanager
def _asking(what: str, module: str) -> Iterator[None]:
    """Turn whatever the kernel or the socket refuses into KernelUnavailable."""
    try:
        yield
    except (NetlinkError, OSError) as error:
        code = error.code if isinstance(error, NetlinkError) else error.errno
        if code in (errno.EPERM, errno.EACCES):
            raise KernelUnavailable("needs CAP_NET_ADMIN, run it as root") from error
        # nfnetlink answers EINVAL for a subsystem that is not loaded and cannot be.
        if code in (errno.EINVAL, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT):
            raise KernelUnavailable(f"it has no {what} (is the kernel module {module} installed?)") from error
        raise KernelUnavailable(f"{what} does not answer: {error}") from error
