"""From targets to slots: decide which kernel set serves each target and family, and report what does not fit.

In: the targets of a configuration and, when it can be asked, the kernel. Out: *slots*, plain data for the
daemon (see `slots`), and reports with the place of the target. Nothing in the kernel is changed here.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from nfa.compiler.base.report import Reports, quote
from nfa.compiler.config.model import Target
from nfa.compiler.provision import ipset, nftset
from nfa.compiler.provision.kernel import IpSet, Kernel, KernelUnavailable, NftSet
from nfa.compiler.provision.slots import Slot, alike, begun, name_of, skb
from nfa.daemon.netlink import ipset_sets, nftables_sets
from nfa.daemon.netlink.nftables_sets import (
    NFT_SET_CONSTANT,
    NFT_SET_INTERVAL,
    NFT_SET_MAP,
    NFT_SET_OBJECT,
)

T = TypeVar("T")
S = TypeVar("S", NftSet, IpSet)

ASSUMED = "not looked up in the kernel"
MISSING = "was not in the kernel"
_KINDS = {NFT_SET_CONSTANT: "constant", NFT_SET_INTERVAL: "interval", NFT_SET_MAP: "map", NFT_SET_OBJECT: "object"}
_DELETE = "delete the rules that use it, then the set: {}"  # the kernel keeps a set that rules use
FAMILY_NAMES: dict[int, str] = {socket.AF_INET: "IPv4 ", socket.AF_INET6: "IPv6 ", socket.AF_UNSPEC: ""}


def provision(targets: Iterable[Target], kernel: Kernel | None, reports: Reports) -> list[Slot]:
    """A slot for each family of each enabled ipset and nftset target, in the order of the targets.

    Without a kernel nothing is looked up: sets are assumed to be as configured.
    """
    targets = list(targets)
    theirs = {name_of(target) for target in targets if target.enabled and not target.options.get("managed")}
    provisioner = _Provisioner(kernel, reports, theirs)
    makers = {"ipset": provisioner.ipset_slot, "nftset": provisioner.nftset_slot}
    owners: dict[tuple[object, ...], Slot] = {}
    made: list[Slot] = []
    for target in targets:
        if not target.enabled or target.type not in makers:
            continue
        families: Any = target.options["families"]
        for family in families:
            slot = makers[target.type](target, family)
            if slot is None:
                continue
            # Targets may share a set, but only one of them can say what it looks like.
            first = owners.setdefault((slot["kind"], slot["table_family"], slot["table"], slot["set"]), slot)
            shared = first is not slot and slot["create"] and first["create"]
            if shared and alike(slot, first):
                # The set is created as the first target specifies; elements of the others carry their own timeout.
                slot["create"], slot["timeouts"] = first["create"], first["timeouts"]
                slot["replace"] = first["replace"]
                slot["element_timeout"] = first["timeouts"] and slot["ttl"] != first["ttl"]
            elif shared:
                reports.error(
                    "set-shared",
                    target.place,
                    f"target {quote(target.name)} needs a different kind of set {quote(slot['set'])} than target "
                    f"{quote(first['target'])}",
                    hint="give them the same type, ttl and size, or different set names",
                    consequence="the target does nothing for this address family",
                )
                continue
            made.append(slot)
    return made


class _Provisioner:
    """One run: the kernel as far as it can be asked, and where findings go."""

    def __init__(self, kernel: Kernel | None, reports: Reports, theirs: set[tuple[object, ...]]) -> None:
        """`theirs`: what unmanaged targets name (`slots.name_of`): only the administrator replaces these."""
        self._kernel = kernel
        self._reports = reports
        self._theirs = theirs
        self._blind: set[str] = set()  # reasons already reported
        self._protocol: int | None = None

    def nftset_slot(self, target: Target, family: int) -> Slot | None:
        """The slot of an nftset target; None when it cannot work, which is then reported."""
        options: dict[str, Any] = target.options
        table, table_family = options["table_name"], nftset.TABLE_FAMILIES[options["table_family"]]
        try:
            key = nftset.key_of(options["type"], family)
        except ValueError as error:
            self._refuse("options-conflict", target, str(error), "list fewer fields in 'type'")
            return None

        def look(kernel: Kernel, name: str) -> NftSet | None:
            return kernel.nft_set(table_family, table, name)

        def misfit(found: NftSet) -> str:
            if (found.key_type, found.key_length) != (key.number, key.length):
                return f"contains {nftset.type_text(found.key_type)} ({found.key_length} bytes), not {key.text}"
            unusable = NFT_SET_CONSTANT | NFT_SET_MAP | NFT_SET_OBJECT
            # In a set of ranges the daemon's elements are ranges too, where the set is not its own.
            if options["managed"]:
                unusable |= NFT_SET_INTERVAL
            words = [word for flag, word in _KINDS.items() if found.flags & unusable & flag]
            return f"is of the kind {', '.join(words)}, which cannot contain single elements" if words else ""

        slot = begun(target, family) | {
            "table": table,
            "table_family": table_family,
            "type": key.text,
            "fields": tuple(options["type"]),
        }
        known, found = self._find(target, slot, look, misfit)
        command = nftset.command(options["table_family"], table, slot["set"], key, ttl=slot["ttl"])
        delete = f"nft delete set {options['table_family']} {table} {slot['set']}"

        def users(found: NftSet) -> tuple[str, str]:
            _, rules = self._ask(target, lambda kernel: kernel.nft_rules(table_family, table, slot["set"]))
            return nftset.users(options["table_family"], table, rules or [])

        def changes(found: NftSet) -> bool:
            """Whether the kernel gives a set that is there another timeout or size."""
            name, other = slot["set"], nftset.key_of(("mark",) if options["type"] != ("mark",) else ("ip_proto",), family)
            wanted, strange = (
                nftset.create(table_family, table, name, one, ttl=slot["ttl"], size=slot["size"], flags=found.flags)
                for one in (key, other)
            )
            return bool(self._ask(target, lambda kernel: kernel.nft_changes(wanted, strange))[1])

        if not self._settle(target, slot, known, found, misfit, command, delete, users, changes):
            return None
        if slot["replace"]:
            found = None
        if slot["managed"]:
            # Other flags than those of the existing set would be refused (EEXIST on 6.18).
            flags = found.flags if found else 0
            slot["create"] = nftset.create(
                table_family, table, slot["set"], key, ttl=slot["ttl"], size=slot["size"], flags=flags
            )
        slot["flush"] = nftables_sets.flush(table_family, table, slot["set"])
        slot["destroy"] = (nftables_sets.destroy(table_family, table, slot["set"]),)
        return slot

    def ipset_slot(self, target: Target, family: int) -> Slot | None:
        """The slot of an ipset target; None when it cannot work, which is then reported."""
        options: dict[str, Any] = target.options
        set_type = options["type"]
        span: tuple[int, int] | None = options["range"]
        kernel_family = ipset.kernel_family(set_type, family)
        if set_type == "bitmap:ip" and family == 6:
            if options["families"] == (6,):
                self._reports.warning(
                    "family-unsupported",
                    target.place,
                    f"target {quote(target.name)}: bitmap:ip is for IPv4 addresses only",
                    hint="use hash:ip for IPv6",
                    consequence="the target does nothing",
                )
            return None

        def look(kernel: Kernel, name: str) -> IpSet | None:
            return kernel.ipset(name)

        def misfit(found: IpSet) -> str:
            if (found.type, found.family) != (set_type, kernel_family):
                there, wanted = FAMILY_NAMES[found.family], FAMILY_NAMES[kernel_family]
                return f"is {there}{found.type}, not {wanted}{set_type}"
            if span and found.span and options["managed"] and found.span != span:
                there, wanted = ipset.span_text(set_type, found.span), ipset.span_text(set_type, span)
                return f"has the range {there}, not {wanted}"
            return ""

        slot = begun(target, family) | {
            "type": set_type,
            "fields": ipset.fields(set_type, options["address_type"]),
            "range": span,
            "skb": skb(options),
        }
        known, found = self._find(target, slot, look, misfit)
        command = ipset.command(slot["set"], set_type, family, ttl=slot["ttl"], span=slot["range"], skb=bool(slot["skb"]))
        delete = f"ipset destroy {slot['set']}"

        def users(found: IpSet) -> tuple[str, str]:
            return ipset.users(slot["set"], found.uses)

        if not self._settle(target, slot, known, found, misfit, command, delete, users):
            return None
        if slot["replace"]:
            found = None
        if found:
            slot["range"] = found.span
            if slot["skb"] and not found.skbinfo:
                slot["skb"] = None
                self._reports.warning(
                    "set-without-skbinfo",
                    target.place,
                    f"ipset {quote(slot['set'])} was created without skbinfo",
                    hint=_DELETE.format(delete) if slot["managed"] else "create it with skbinfo",
                    consequence="the skb_ options have no effect",
                )
        protocol = self._ipset_protocol(target)
        if slot["managed"]:
            create = self._ipset_create(target, slot, found, protocol)
            if create is None:
                return None
            slot["create"] = (create,)
        slot["protocol"] = protocol
        slot["flush"] = ipset_sets.flush(slot["set"], protocol)
        slot["destroy"] = (ipset_sets.destroy(slot["set"], protocol),)
        return slot

    def _ipset_create(self, target: Target, slot: Slot, found: IpSet | None, protocol: int) -> bytes | None:
        """The CREATE message of a managed ipset, None (and a report) if this kernel lacks its type."""
        set_type = slot["type"]
        asked, revisions = self._ask(
            target,
            lambda kernel: kernel.ipset_revisions(set_type, ipset.kernel_family(set_type, slot["family"])),
        )
        if asked and revisions is None:
            hint = f"install the kernel module ip_set_{set_type.replace(':', '_').replace(',', '')}"
            self._refuse("kernel-lacks-type", target, f"this kernel has no ipset type {set_type}", hint)
            return None
        # CREATE over an existing set is EEXIST unless it names that set's own timeout, size and extensions.
        as_found = {"timeout": found.timeout, "size": found.size, "flags": found.flags} if found else {}
        wanted = {"timeout": slot["ttl"] or None, "size": slot["size"]}
        return ipset.create(
            slot["set"],
            set_type,
            slot["family"],
            protocol=protocol,
            revision=ipset.revision(set_type, revisions),
            span=slot["range"],
            **(wanted | as_found),
        )

    def _ipset_protocol(self, target: Target) -> int:
        if self._protocol is None:
            _, protocol = self._ask(target, lambda kernel: kernel.ipset_protocol())
            self._protocol = protocol or ipset_sets.IPSET_PROTOCOL
        return self._protocol

    def _ask(self, target: Target, question: Callable[[Kernel], T]) -> tuple[bool, T | None]:
        """(True, answer), or (False, None) when the kernel cannot be asked; the reason is reported once."""
        if self._kernel is None:
            return False, None
        try:
            return True, question(self._kernel)
        except KernelUnavailable as reason:
            if str(reason) not in self._blind:
                self._blind.add(str(reason))
                self._reports.warning(
                    "kernel-unavailable",
                    target.place,
                    f"cannot query the kernel: {reason}",
                    consequence="sets are assumed to be as configured",
                )
            return False, None

    def _find(
        self,
        target: Target,
        slot: Slot,
        look: Callable[[Kernel, str], S | None],
        misfit: Callable[[S], str],
    ) -> tuple[bool, S | None]:
        """Look for the slot's set: (whether the kernel could be asked, the set if there is one).

        A set that the user made may also be named without the suffix; if it fits, the slot takes it over.
        """
        known, found = self._ask(target, lambda kernel: look(kernel, slot["set"]))
        if known and found is None and not slot["managed"]:
            plain: Any = target.options["set_name"]
            _, other = self._ask(target, lambda kernel: look(kernel, plain))
            if other is not None and not misfit(other):
                slot["set"] = plain
                return True, other
        return known, found

    def _settle(
        self,
        target: Target,
        slot: Slot,
        known: bool,
        found: Any,
        misfit: Callable[[Any], str],
        command: str,
        delete: str,
        users: Callable[[Any], tuple[str, str]],
        changes: Callable[[Any], bool] = lambda found: False,
    ) -> bool:
        """Fill in what depends on the existing set and report what does not fit; False if it cannot work."""
        name, ttl, managed = quote(slot["set"]), slot["ttl"], slot["managed"]
        delete = _DELETE.format(delete)
        if found is None:
            slot["note"] = MISSING if known else ASSUMED
            if not managed:
                # Whatever default the set will have: an element's own timeout is right with any.
                slot["element_timeout"] = ttl > 0
                if known:
                    self._reports.warning(
                        "set-missing",
                        target.place,
                        f"set {name} does not exist",
                        hint=f"create it with: {command}",
                        consequence="the target does nothing until then",
                    )
            return True
        problem = misfit(found)
        if not problem and managed and ttl and found.timeout is None:
            problem = f"was created without timeouts, but ttl is {ttl} seconds"
        if problem and managed and name_of(target) not in self._theirs:
            slot["replace"] = True
            self._tell_replacement(target, f"set {name} {problem}", *users(found))
            return True
        if problem:
            make = "" if managed else f"; then create one with: {command}"
            self._refuse("set-other-type", target, f"set {name} {problem}", delete + make)
            return False
        slot["timeouts"] = found.timeout is not None
        slot["element_timeout"] = slot["timeouts"] and found.timeout != ttl
        if ttl and found.timeout is None:
            self._reports.warning(
                "set-without-timeouts",
                target.place,
                f"set {name} was created without timeouts, but ttl is {ttl} seconds",
                hint=f"{delete}; then create one with: {command}",
                consequence="elements stay until the set is flushed",
            )
        elif managed and slot["element_timeout"]:
            own = f"each element gets its own timeout of {ttl} seconds" if ttl else "elements do not expire"
            problem = f"has a timeout of {found.timeout:g} seconds, but ttl is {ttl}"
            self._tell_change(target, slot, problem, "" if changes(found) else delete, own)
        if managed and found.size not in (0, slot["size"]):
            problem = f"has room for {found.size} elements, but size is {slot['size']}"
            self._tell_change(target, slot, problem, "" if changes(found) else delete, "until then, the old size applies")
        if slot["kind"] == "ipset" or not managed:
            slot["size"] = found.size
        return True

    def _tell_change(self, target: Target, slot: Slot, problem: str, delete: str, consequence: str) -> None:
        """A managed set has another property than the target says. `delete`: how to change that; "": the daemon does it."""
        message = f"set {quote(slot['set'])} {problem}"
        if not delete:
            hint = "this kernel can change a set: the daemon does that when the policy becomes active"
            self._reports.info("set-differs", target.place, message, hint=hint, consequence=consequence)
        else:
            hint = f"this kernel cannot change a set: to change it, {delete}"
            self._reports.warning("set-differs", target.place, message, hint=hint, consequence=consequence)

    def _tell_replacement(self, target: Target, problem: str, used: str, way_out: str) -> None:
        """A managed set is of another type: the daemon replaces it, once nothing uses it. `used`: what does, "" if nothing."""
        if used:
            self._reports.error(
                "set-other-type",
                target.place,
                f"target {quote(target.name)}: {problem}, and is used by {used}",
                hint=way_out,
                consequence="until then the target does nothing for this address family; then the daemon replaces the set",
            )
        else:
            self._reports.info(
                "set-other-type",
                target.place,
                problem,
                hint="nothing uses it, so the daemon replaces it",
                consequence="its elements are lost",
            )

    def _refuse(self, code: str, target: Target, problem: str, hint: str) -> None:
        self._reports.error(
            code,
            target.place,
            f"target {quote(target.name)}: {problem}",
            hint=hint,
            consequence="the target does nothing for this address family",
        )
