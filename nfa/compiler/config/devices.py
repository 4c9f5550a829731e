"""Devices and groups of devices: sets of addresses under a name that expressions use as @NAME.

In: the sections of all files, merged. Out: `Device`s and `DeviceGroup`s by name. What is wrong with one is reported; it is kept
and marked `broken`, so that what names it is known not to be understood, instead of meaning less than it says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import cast

from nfa.compiler.base.report import Place, Reports, did_you_mean, quote
from nfa.compiler.config.convert import Context
from nfa.compiler.config.document import Section
from nfa.compiler.config.groups import STAYS
from nfa.compiler.config.model import Device, DeviceGroup, Text
from nfa.compiler.config.options import DEVICE_OPTIONS, GROUP_OPTIONS, Options
from nfa.compiler.config.origins import Origins
from nfa.compiler.config.properties import Complete, complete, convert
from nfa.compiler.expression.tree import Devices, Network
from nfa.daemon.devices.configured import is_private

LEFT_OUT = "what names it cannot be used"
MAX_DEVICES = 1024
MAX_DEPTH = 16
"""Groups in groups."""
Named = tuple[dict[str, Device], dict[str, DeviceGroup]]
"""Devices, and groups of devices, by name."""
Row = tuple[str, str, tuple[bytes, ...], tuple[tuple[bytes, int], ...], tuple[str, ...]]
"""A device as the daemon's `Devices` takes it."""
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass
class Numbered:
    """The devices that can be used, in the order of their numbers, and what each name of a device or group means.

    None is what a name means that has an error. `every`: all devices; None when one of them has an error.
    """

    devices: list[Device]
    meaning: dict[str, Devices | None]
    every: Devices | None


def read_devices(sections: list[Section], context: Context) -> dict[str, Device]:
    """The devices, by name."""
    reports = context.reports
    found: dict[str, Device] = {}
    for section in sections:
        name = section.name
        what = f"device {quote(name.value)}"
        last = context.keeping.last.devices.get(name.value)
        values, broken, origins = _values(what, section, DEVICE_OPTIONS, context, STAYS if last else LEFT_OUT)
        device = Device(
            name.value,
            name.place,
            cast(str, values["title"]),
            cast("tuple[bytes, ...]", values["macs"]),
            cast("tuple[Network, ...]", values["networks"]),
            cast("tuple[str, ...]", values["names"]),
            broken,
            origins,
        )
        if not (device.macs or device.networks or device.names or broken):
            message = f"{what} has no 'mac', 'ip' or 'name'"
            reports.warning("matches-nothing", name.place, message, consequence="no flow is this device's")
        if len(found) == MAX_DEVICES:
            message = f"there are more than {MAX_DEVICES} devices"
            reports.error("too-many-devices", name.place, message, consequence=f"this and later ones: {LEFT_OUT}")
        if len(found) >= MAX_DEVICES:
            device.broken = True
        elif broken and last:
            device = replace(last, place=name.place)
            context.keeping.kept["device", name.value] = None
        if not device.broken:
            context.keeping.good.devices[name.value] = device
        found[name.value] = device
    _report_shared(found, reports)
    _report_private(found, reports)
    return found


def read_groups(sections: list[Section], devices: Mapping[str, Device], context: Context) -> dict[str, DeviceGroup]:
    """The groups of devices, by name, with the devices of the groups that they name."""
    reports = context.reports
    found: dict[str, DeviceGroup] = {}
    members: dict[str, list[Text]] = {}
    for section in sections:
        name = section.name
        instead = STAYS if name.value in context.keeping.last.device_groups else LEFT_OUT
        values, broken, origins = _values(f"group {quote(name.value)}", section, GROUP_OPTIONS, context, instead)
        members[name.value] = cast("list[Text]", values["devices"] or [])
        if name.value in devices:
            _report_clash(name.value, "group of devices", name.place, "device", devices[name.value].place, reports)
            devices[name.value].broken = broken = True
        found[name.value] = DeviceGroup(name.value, name.place, cast(str, values["title"]), (), broken, origins)
    reader = _Groups(devices, found, members, context)
    for group in found.values():
        reader.resolve(group, ())
    keeping = context.keeping
    for group in found.values():
        last = keeping.last.device_groups.get(group.name)
        if group.broken and last and group.name not in devices and all(one in devices for one in last.devices):
            group.title, group.devices = last.title, last.devices
            group.broken = any(devices[one].broken for one in last.devices)
            keeping.kept["group of devices", group.name] = None
        if not group.broken:
            keeping.good.device_groups[group.name] = group
    return found


def _values(
    what: str, section: Section, options: Options, context: Context, instead: str
) -> tuple[dict[str, object], bool, Origins]:
    """A value for each option, whether something is wrong, and where the values come from. `instead`: what errors lead to."""
    own = convert(what, section.properties, options, context, instead)
    if section.broken:
        context.reports.error("bad-value", section.broken, f"{what} is not an object", consequence=instead)
        own.broken += [option.key for option in options]
    done = complete(what, section.name.place, options, [own], context, instead)
    named = _NAME.fullmatch(section.name.value) is not None
    if not named:
        message, hint = f"{what}: the name cannot be used", "expected 1 to 64 letters, digits, '_', '-' or '.'"
        context.reports.error("bad-name", section.name.place, message, hint=hint, consequence=instead)
    given = {option.key: option.default for option in options} | {key: one.value for key, one in own.values.items()}
    found = done or Complete(given, {})
    return found.values, bool(done is None or own.broken or not named), Origins(found.origins)


class _Groups:
    """Finds the devices of groups, those of groups in groups included."""

    def __init__(
        self, devices: Mapping[str, Device], groups: dict[str, DeviceGroup], members: dict[str, list[Text]], context: Context
    ) -> None:
        self.devices = devices
        self.groups = groups
        self.members = members
        self.reports = context.reports
        self.kept = context.keeping.last.device_groups
        self.done: set[str] = set()

    def resolve(self, group: DeviceGroup, above: tuple[str, ...]) -> None:
        """Fill in the devices of a group. `above`: the groups that it was reached through."""
        if group.name in self.done:
            return
        names: dict[str, None] = {}
        inside = (*above, group.name)
        instead = STAYS if group.name in self.kept else LEFT_OUT
        for member in self.members[group.name]:
            word = member.value.strip().removeprefix("@")
            if word in self.groups and word in inside:
                message = f"group {quote(group.name)} contains itself: {' > '.join(map(quote, (*inside, word)))}"
                self.reports.error("group-cycle", member.place, message, consequence=instead)
                group.broken = True
            elif word in self.groups and len(inside) > MAX_DEPTH:
                message = f"group {quote(group.name)}: groups are nested more than {MAX_DEPTH} deep here"
                self.reports.error("group-cycle", member.place, message, consequence=instead)
                group.broken = True
            elif word in self.groups:
                self.resolve(self.groups[word], inside)
                names.update(dict.fromkeys(self.groups[word].devices))
                group.broken |= self.groups[word].broken
            elif word in self.devices:
                names[word] = None
                group.broken |= self.devices[word].broken
            else:
                message = f"group {quote(group.name)}: there is no device or group {quote(word)}"
                hint = did_you_mean(word, (*self.devices, *self.groups))
                self.reports.error("unknown-device", member.place, message, hint=hint, consequence=instead)
                group.broken = True
        group.devices = tuple(names)
        self.done.add(group.name)


def numbered(
    devices: Mapping[str, Device], groups: Mapping[str, DeviceGroup], others: Mapping[str, Place], reports: Reports
) -> Numbered:
    """Give each device that can be used its number.

    `others` are the places of netifyd's address groups, by name: one of the same name makes the name ambiguous.
    """
    usable = [device for device in devices.values() if not device.broken]
    number_of = {device.name: number for number, device in enumerate(usable)}
    meaning: dict[str, Devices | None] = {}
    for device in devices.values():
        meaning[device.name] = None if device.broken else _meaning(device.name, (device.name,), number_of, devices)
    for group in groups.values():
        meaning[group.name] = None if group.broken else _meaning(group.name, group.devices, number_of, devices)
    for name in [name for name in meaning if name in others]:
        kind = "device" if name in devices else "group of devices"
        place = devices[name].place if name in devices else groups[name].place
        _report_clash(name, kind, place, "address group", others[name], reports)
        meaning[name] = None
    whole = len(usable) == len(devices) and all(meaning[name] for name in devices)
    return Numbered(usable, meaning, _meaning("*", devices, number_of, devices) if whole else None)


def device_rows(devices: list[Device]) -> list[Row]:
    """The devices as the daemon's `Devices` takes them: name, title, MAC addresses, networks, host names of each."""
    rows: list[Row] = []
    for device in devices:
        networks = tuple((network.packed, network.prefix) for network in device.networks)
        rows.append((device.name, device.title, device.macs, networks, device.names))
    return rows


def _meaning(name: str, names: Iterable[str], number_of: Mapping[str, int], devices: Mapping[str, Device]) -> Devices:
    """What the name of a device or group stands for; `names` are its devices, all of which can be used."""
    found = [devices[one] for one in names]
    members = sorted(((device.macs, device.networks, device.names) for device in found), key=repr)
    return Devices(name, frozenset(number_of[device.name] for device in found), tuple(members))


def _report_clash(name: str, kind: str, place: Place, other: str, there: Place, reports: Reports) -> None:
    message = f"the {kind} {quote(name)} has the name of the {other} at {there}"
    reports.error("name-taken", place, message, hint="give one of the two another name", consequence=f"@{name} cannot be used")


def _report_shared(devices: Mapping[str, Device], reports: Reports) -> None:
    """Warn of a MAC address, address or host name that two devices have: a flow is both's then."""
    first: dict[object, Device] = {}
    for device in devices.values():
        for thing in (*device.macs, *device.networks, *device.names):
            other = first.setdefault(thing, device)
            if other is not device:
                message = f"device {quote(device.name)} has {_shown(thing)}, as has device {quote(other.name)} at {other.place}"
                reports.warning("device-shared", device.place, message, consequence="such flows are of both devices")


def _shown(thing: object) -> str:
    if isinstance(thing, Network):
        import ipaddress

        return f"{ipaddress.ip_address(thing.packed)}/{thing.prefix}"
    return thing.hex(":") if isinstance(thing, bytes) else f"the host name {quote(str(thing))}"


def _report_private(devices: Mapping[str, Device], reports: Reports) -> None:
    """Warn of MAC addresses that a device makes up, and another one for each network or from time to time."""
    for device in devices.values():
        private = [mac.hex(":") for mac in device.macs if is_private(mac)]
        if private:
            message = f"device {quote(device.name)}: {', '.join(private)} is a private address, which changes with the network"
            hint = "on the device, switch private (random) MAC addresses off for this network"
            consequence = "the device is not recognised when it changes"
            reports.warning("private-mac", device.place, message, hint=hint, consequence=consequence)
