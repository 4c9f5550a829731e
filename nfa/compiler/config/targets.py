"""The targets of a configuration: read, completed from the defaults, checked.

In: the sections of all files, merged. Out: the usable `Target`s by name, complete with every option; a broken
one is reported and left out.
"""

from __future__ import annotations

from typing import cast

from nfa.compiler.base.report import Place, Reports, did_you_mean, quote
from nfa.compiler.config.convert import UINT32, Context
from nfa.compiler.config.document import Section
from nfa.compiler.config.marks import firewall_mark
from nfa.compiler.config.model import Target, Text
from nfa.compiler.config.options import COMMON_OPTIONS, TARGET_GLOBALS, TARGET_OPTIONS, Options
from nfa.compiler.config.origins import Origins
from nfa.compiler.config.properties import BUILT_IN, Complete, Settings, complete, convert, is_off, last_good

LEFT_OUT = "the target is left out"
MAX_NAME = 128  # characters of the name of an action or target
MAX_NFT_KEY = 64  # bytes; NFT_DATA_VALUE_MAXLEN

# Bytes of a field in a concatenated key, where each takes whole 32-bit registers.
_FIELD_BYTES = {"local_mac": 8, "other_mac": 8, "interface": 16}
# Options that decide what a set is; others may differ between targets that share it.
_SHAPE = ("type", "families", "size", "range")


def target_globals(sections: list[Section], context: Context) -> dict[str, Complete]:
    """What holds for all targets of a type: a value for every option of TARGET_GLOBALS."""
    layers = _layers(sections, "target_globals", TARGET_GLOBALS, context)
    result = {}
    for kind, options in TARGET_GLOBALS.items():
        place = Place("", 0, 0)  # none of the options is required, so nothing can be missing
        result[kind] = complete(f"globals of {kind}", place, options, layers[kind], context, "") or Complete({}, {})
    return result


def read_targets(
    sections: list[Section],
    defaults: list[Section],
    globals_: dict[str, dict[str, object]],
    context: Context,
) -> dict[str, Target]:
    """The usable targets. `defaults` are the target_defaults of all files, the ones that come first last."""
    layers = _layers(
        defaults,
        "target_defaults",
        {kind: COMMON_OPTIONS + own for kind, own in TARGET_OPTIONS.items()},
        context,
    )
    targets = {}
    for section in sections:
        off = is_off("target_enabled", section, COMMON_OPTIONS, context)
        left_out = context.keeping.consequence("target", section.name.value, LEFT_OUT, off)
        target = _target(section, layers, globals_, context, left_out)
        target = target or context.keeping.target(section.name.value, section.name.place, off)
        if target is not None:
            targets[target.name] = target
    _check_shared_sets(targets, context)
    return targets


def usable_name(what: str, name: Text, consequence: str, reports: Reports) -> bool:
    """Whether actions and reports can use the name of an action or target; an error when not."""
    if name.value.strip() and name.value.isprintable() and len(name.value) <= MAX_NAME:
        return True
    problem = "an empty name" if not name.value.strip() else f"the name {quote(name.value)} cannot be used"
    hint = f"expected 1 to {MAX_NAME} printable characters"
    reports.error("bad-name", name.place, f"{what} has {problem}", hint=hint, consequence=consequence)
    return False


def _layers(sections: list[Section], key: str, tables: dict[str, Options], context: Context) -> dict[str, list[Settings]]:
    """The settings for each target type, a later section's before an earlier one's."""
    layers: dict[str, list[Settings]] = {kind: [] for kind in tables}
    for section in sections:
        kind = section.name.value
        if kind in tables:
            # A section of UCI may name its type a second time.
            properties = [item for item in section.properties if item[0].value != "target_type"]
            what = f"{key} of {kind}"
            settings = convert(what, properties, tables[kind], context, BUILT_IN)
            if section.broken:
                settings = last_good(what, section, tables[kind], context)
            layers[kind].insert(0, settings)
        else:
            context.reports.warning(
                "unknown-target-type",
                section.name.place,
                f"{key}: {quote(kind)} is not a target type with such settings",
                hint=did_you_mean(kind, tables),
                consequence="its settings are ignored",
            )
    return layers


def _target(
    section: Section,
    defaults: dict[str, list[Settings]],
    globals_: dict[str, dict[str, object]],
    context: Context,
    left_out: str,
) -> Target | None:
    name, reports = section.name, context.reports
    what = f"target {quote(name.value)}"
    named = usable_name("a target", name, left_out, reports)
    if section.broken:
        reports.error("bad-value", section.broken, f"{what} is not an object", consequence=left_out)
        return None
    kind = _type(what, section, reports, left_out)
    if kind is None:
        return None
    options = COMMON_OPTIONS + TARGET_OPTIONS[kind]
    properties = [item for item in section.properties if item[0].value != "target_type"]
    own = convert(what, properties, options, context, left_out)
    found = complete(what, name.place, options, [own], context, left_out, defaults[kind])
    if found is None or own.broken or not named:
        return None
    values = found.values
    enabled, interface = bool(values.pop("target_enabled")), str(values.pop("interface"))
    cut = bool(values.pop("cut"))
    target = Target(name.value, name.place, kind, enabled, interface, values, Origins(found.origins), cut)
    problem = _keep_to_table(what, found, own, reports) if kind == "nftset" else ""
    problem = problem or (_CHECKS[kind](found, own, globals_) if kind in _CHECKS else "")
    if problem:
        reports.error("options-conflict", name.place, f"{what}: {problem}", consequence=left_out)
        return None
    return target


def _type(what: str, section: Section, reports: Reports, left_out: str) -> str | None:
    """The target's type; None, with an error, when there is none or it is unknown."""
    given = next((value for name, value in section.properties if name.value == "target_type"), None)
    if given is None or given.value is None:
        other = next((value.plain() for name, value in section.properties if name.value == "type"), None)
        hint = f"known: {', '.join(TARGET_OPTIONS)}"
        if other in TARGET_OPTIONS:
            hint = f"'type' is what a set contains: write target_type {quote(str(other))}"
        reports.error("missing-option", section.name.place, f"{what} has no 'target_type'", hint=hint, consequence=left_out)
        return None
    kind = given.value.value.strip().lower() if isinstance(given.value, Text) else ""
    if kind in TARGET_OPTIONS:
        return kind
    reports.error(
        "unknown-target-type",
        given.place,
        f"{what}: unknown target type {quote(kind or str(given.plain()))}",
        hint=did_you_mean(kind, TARGET_OPTIONS),
        consequence=left_out,
    )
    return None


# What no single option can say. Each check gives the problem, or '' when there is none.


def _check_ipset(found: Complete, own: Settings, globals_: dict[str, dict[str, object]]) -> str:
    options = found.values
    kind = str(options["type"])
    method, _, holds = kind.partition(":")
    span = cast("tuple[str, int, int] | None", options["range"])
    if method != "bitmap":
        # A range among the defaults is meant for the targets of a bitmap type.
        options["range"] = None
        found.origins.pop("range", None)
        return f"'range' is for bitmap types only, but the type is {kind}" if "range" in own.values else ""
    if span is None:
        return f"the type {kind} needs a 'range'"
    if span[0] != holds:
        needed = "of IPv4 addresses such as '192.168.1.0/24'" if holds == "ip" else "of ports such as '1-1023'"
        return f"the type {kind} needs a 'range' {needed}"
    if holds == "ip":
        if "families" in own.values and 4 not in cast("tuple[int, ...]", options["families"]):
            return "the type bitmap:ip is for IPv4 addresses only, but the family is ipv6"
        if options["families"] != (4,):
            options["families"] = (4,)
            found.origins.pop("families", None)
    options["range"] = span[1:]
    return ""


_ONE_VERSION = {"ip": 4, "arp": 4, "ip6": 6}
"""Table families whose rules meet packets of one IP version only. bridge, netdev and inet meet both."""


def _keep_to_table(what: str, found: Complete, own: Settings, reports: Reports) -> str:
    """Leave out the sets that no rule of the table could use. Returns the problem when none is left."""
    options = found.values
    version = _ONE_VERSION.get(str(options["table_family"]))
    wanted = cast("tuple[int, ...]", options["families"])
    if version is None or wanted == (version,):
        return ""
    only = f"rules of a table of the family {options['table_family']} meet IPv{version} only"
    if version not in wanted:
        return f"{only}, but set_family is ipv{wanted[0]}"
    if "families" in own.values:
        reports.warning(
            "family-unsupported",
            found.origins["families"].place if "families" in found.origins else None,
            f"{what}: {only}, but set_family is *",
            hint=f"write set_family ipv{version}, or table_family inet for both",
            consequence=f"there is no set for IPv{10 - version}",
        )
    options["families"] = (version,)
    found.origins.pop("families", None)
    return ""


def _check_nftset(found: Complete, own: Settings, globals_: dict[str, dict[str, object]]) -> str:
    options = found.values
    address = 16 if 6 in cast("tuple[int, ...]", options["families"]) else 4
    fields = cast("tuple[str, ...]", options["type"])
    size = sum(address if name.endswith("_addr") else _FIELD_BYTES.get(name, 4) for name in fields)
    return f"the fields of the type take {size} bytes, but the kernel allows {MAX_NFT_KEY}" if size > MAX_NFT_KEY else ""


def _check_ctmark(found: Complete, own: Settings, globals_: dict[str, dict[str, object]]) -> str:
    value, shift = cast(int, found.values["mark"]), cast(int, found.values["shift"])
    return f"the mark {value:#x} shifted by {shift} does not fit into 32 bits" if value << shift > UINT32 else ""


def _check_ctlabel(found: Complete, own: Settings, globals_: dict[str, dict[str, object]]) -> str:
    options = found.values
    labels = cast("tuple[str | int, ...]", options["labels"])
    bits = cast(int, globals_["ctlabel"]["max_bits"])
    high = [label for label in labels if isinstance(label, int) and label >= bits]
    if high:
        return f"the label bit {high[0]} must be less than max_bits, which is {bits}"
    return "" if labels or options["auto_label"] else "nothing to set: give 'labels' or 'auto_label'"


EFFECTS = ("verdict", "set_dscp", "set_mark", "limit", "limit_up", "limit_down")
"""Options of a firewall target that do something to packets of connections that run."""
ROUTE_TTL = 24 * 3600
"""Seconds that the server of a route is remembered, where no ttl is given."""
_NOT_WITH_ROUTE = (*EFFECTS, "per_device", "scope", "hook", "ctinfo")


def _check_firewall(found: Complete, own: Settings, globals_: dict[str, dict[str, object]]) -> str:
    options = found.values
    if options["route"] is not None and ("route" in own.values or not any(name in own.values for name in EFFECTS)):
        return _check_route(found, own)
    for name in ("route_mark", "route_device", "fallback"):
        if name in own.values:
            return f"'{name}' is about a 'route', but there is none"
    options["route"] = None  # of the defaults, where the target says something else
    others = [name for name in EFFECTS[1:] if options[name] is not None]
    if not others and options["verdict"] is None:
        return f"nothing to do: give one of {', '.join(EFFECTS)} and route"
    if others and options["verdict"] is not None:
        ours = [name for name in others if name in own.values]
        if ours and "verdict" in own.values:
            return f"'verdict' stands beside '{ours[0]}', but no packet is left for it: a block needs nothing else"
        # Of what is among the defaults only that is meant which goes with the target's own options.
        for name in ["verdict"] if ours else others:
            options[name] = None
            found.origins.pop(name, None)
    if "per_device" in own.values and options["per_device"] and not any(options[name] is not None for name in EFFECTS[3:]):
        return "'per_device' is about a limit, but there is none: give 'limit', 'limit_up' or 'limit_down'"
    if "ctinfo" in own.values and options["set_dscp"] is None:
        return "'ctinfo' says where the class of 'set_dscp' is noted, but there is no 'set_dscp'"
    _, mark = firewall_mark({**options, "set_dscp": None})
    _, dscp = firewall_mark({**options, "set_mark": None})
    if mark & dscp:
        return f"'set_mark' and the class of 'set_dscp' (see 'ctinfo') have bits of the mark in common: {mark & dscp:#x}"
    return ""


def _check_route(found: Complete, own: Settings) -> str:
    """A route is about connections that come later; all else is about those that run."""
    options = found.values
    for name in _NOT_WITH_ROUTE:
        if name in own.values:
            return f"'{name}' stands beside 'route', which is about later connections: make another target of it"
    for name in EFFECTS:
        options[name] = None
        found.origins.pop(name, None)
    options["scope"] = options["hook"] = "route"
    if "ttl" not in found.origins:
        options["ttl"] = ROUTE_TTL
    return ""


_CHECKS = {
    "firewall": _check_firewall,
    "ipset": _check_ipset,
    "nftset": _check_nftset,
    "ctmark": _check_ctmark,
    "ctlabel": _check_ctlabel,
}


def _check_shared_sets(targets: dict[str, Target], context: Context) -> None:
    """Enabled managed targets that share a set must agree on what it is; the first one decides."""
    reports = context.reports
    first: dict[tuple[object, ...], Target] = {}
    for target in list(targets.values()):
        options = target.options
        if target.type not in ("ipset", "nftset") or not target.enabled or not options["managed"]:
            continue
        table = (options.get("table_family"), options.get("table_name"))
        other = first.setdefault((target.type, *table, options["set_name"]), target)
        differing = [name for name in options if options[name] != other.options[name]]
        if not differing:
            continue
        names = ", ".join("set_family" if name == "families" else name for name in differing)
        message = (
            f"target {quote(target.name)} manages the same set as {quote(other.name)} ({other.place}), but differs in {names}"
        )
        if any(name in _SHAPE for name in differing):
            # Its last good version would share the set as well, or be in no relation to what the other is now.
            reports.error("set-shared", target.place, message, consequence=LEFT_OUT)
            context.keeping.kept.pop(("target", target.name), None)
            del targets[target.name]
        else:
            consequence = f"the set is created as {quote(other.name)} specifies"
            reports.warning("set-shared", target.place, message, consequence=consequence)
