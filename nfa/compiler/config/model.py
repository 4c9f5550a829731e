"""The configuration as the rest of the compiler sees it: checked, converted and complete.

In: what `nfa.compiler.config.build` read from JSON (and later UCI). Out: `Policy` with its actions and targets. Texts
that a later stage parses (criteria, exemptions) keep the place of each of their characters, so that stage can
point into the user's file.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field, replace
from typing import Literal

from nfa.compiler.base.report import Place, quote
from nfa.compiler.config.origins import Origins
from nfa.compiler.expression.tree import Network


@dataclass(frozen=True)
class Text:
    """A string of a configuration and where its characters stand.

    `marks` holds (offset in value, line, column) wherever the file does not simply run on: after an escape of
    a JSON string or a quote of UCI, at the start of each line. Without marks the value stands as it is, on one line,
    from `place` on.
    """

    value: str
    place: Place
    marks: tuple[tuple[int, int, int], ...] = ()

    def at(self, offset: int) -> Place:
        """The place of character `offset` of the value; len(value) gives the place just after it."""
        index = bisect.bisect_right(self.marks, offset, key=lambda mark: mark[0]) - 1
        start, line, column = self.marks[index] if index >= 0 else (0, self.place.line, self.place.column)
        # In a file as a whole (line 0) there is nothing to count from.
        return replace(self.place, line=line, column=column + offset - start) if line else self.place

    @classmethod
    def of_file(cls, value: str, file: str) -> Text:
        """The whole content of a file, in which `value` stands line for line."""
        starts = [0, *(index + 1 for index, char in enumerate(value) if char == "\n")]
        return cls(value, Place(file, 1, 1), tuple((start, line, 1) for line, start in enumerate(starts, 1)))


@dataclass(frozen=True)
class Window:
    """When an action applies: days (0 is monday), start and end in seconds of the day.

    A window whose end is not after its start runs over midnight and belongs to the day it starts on.
    """

    days: tuple[int, ...]
    start: int
    end: int
    policy: Literal["inclusive", "exclusive"]


@dataclass
class Action:
    """Which flows reach which targets.

    Actions are tried in the order of `priority`, the lowest number first; equal ones in the order of the file
    (`order`). `targets` are names of `Policy.targets`; `interface` is '*', 'lan', 'wan' or a device. A `broken`
    one has had an error reported and cannot be used, a `faulty` one could be used in part; `unsure` are the keys of options
    whose value is wrong, so that it is the default here. Criteria and exemptions have their files read in already.
    """

    name: str
    place: Place
    enabled: bool
    criteria: list[Text]
    targets: list[str]
    exemptions: list[Text]
    interface: str
    halt_on_match: bool
    priority: int
    order: int
    time_of_day: list[Window]
    broken: bool = False
    faulty: bool = False
    unsure: tuple[str, ...] = ()
    origins: Origins = field(default_factory=Origins)
    budget: str = ""


@dataclass(frozen=True)
class DayAmount:
    """What a budget has on some days of the week (Monday is 0): seconds and bytes, None for those of other days."""

    days: tuple[int, ...]
    time: int | None
    size: int | None
    unlimited: bool


@dataclass
class Budget:
    """How much flows may have in each period before the actions that name the budget act: seconds and bytes, None for any.

    `start`: weekday (None where none is given) and second of the day at which a period begins. `shared`: by all devices.
    `exempt_time`: when nothing is counted. A `broken` one has had an error reported: actions that name it are not applied.
    """

    name: str
    place: Place
    time: int | None = None
    size: int | None = None
    period: str = "day"
    start: tuple[int | None, int] = (None, 0)
    days: tuple[DayAmount, ...] = ()
    shared: bool = False
    exempt_time: tuple[Window, ...] = ()
    broken: bool = False
    origins: Origins = field(default_factory=Origins)


@dataclass
class Channel:
    """A channel of a sink: where the events of a target of type sink go.

    `kind` is that of the sink: log, socket, ubus, http or mqtt; `options` holds every option of the kind, converted.
    """

    sink: str
    name: str
    kind: str
    place: Place
    options: dict[str, object]
    origins: Origins = field(default_factory=Origins)


@dataclass
class Target:
    """What is done with a flow. `options` holds every option of the type (see options.py), converted.

    `trouble` says why no flow reaches the target although it is enabled, "" when flows do.
    """

    name: str
    place: Place
    type: str
    enabled: bool
    interface: str
    options: dict[str, object]
    origins: Origins = field(default_factory=Origins)
    cut: bool = False
    channel: Channel | None = None
    trouble: str = ""

    @property
    def what(self) -> str:
        """What messages call it."""
        return f"target {quote(self.name)}"


@dataclass
class Notice:
    """What a person wants to know, and where that is told. `options` holds every option of NOTICE_OPTIONS, converted.

    `devices`: names of the devices that `device` names, those of groups included; () for all. `trouble` says why it is not
    sent although it is enabled.
    """

    name: str
    place: Place
    enabled: bool
    options: dict[str, object]
    origins: Origins = field(default_factory=Origins)
    devices: tuple[str, ...] = ()
    channel: Channel | None = None
    trouble: str = ""

    @property
    def what(self) -> str:
        """What messages call it."""
        return f"notice {quote(self.name)}"


@dataclass
class Device:
    """A set of addresses under one name. `title` is for people, `names` are host names of DHCP leases in lower case.

    A `broken` one has had an error reported: what names it cannot be understood.
    """

    name: str
    place: Place
    title: str = ""
    macs: tuple[bytes, ...] = ()
    networks: tuple[Network, ...] = ()
    names: tuple[str, ...] = ()
    broken: bool = False
    origins: Origins = field(default_factory=Origins)


@dataclass
class DeviceGroup:
    """Devices under one name: `devices` are those of its groups, too. `broken`: as of a device, and of what is in it."""

    name: str
    place: Place
    title: str = ""
    devices: tuple[str, ...] = ()
    broken: bool = False
    origins: Origins = field(default_factory=Origins)


@dataclass(frozen=True)
class Host:
    """A static lease: the names and addresses that a DHCP server gives to a MAC address. `name` in lower case."""

    mac: bytes
    name: str = ""
    address: bytes = b""


@dataclass
class Policy:
    """A whole configuration. `files` are the configuration files; `timezone` is '' for the system's.

    `reprocess_flows`: whether a reload reaches known flows also with what begins, None where nobody says.
    `main` holds the options of the service itself (MAIN_OPTIONS of options.py). `exemptions_broken`: some of the exemptions
    could not be read; `incomplete`: a file of the configuration could not be used. `hosts` and `lease_files`: what the DHCP
    servers are told, and the files in which they note who has which address.
    `origins` are those of the global settings and exemptions, `global_origins` those of `target_globals` by type.
    """

    files: list[str]
    reprocess_flows: bool | None
    timezone: str
    exemptions: list[Text]
    actions: list[Action]
    targets: dict[str, Target]
    target_globals: dict[str, dict[str, object]]
    origins: Origins = field(default_factory=Origins)
    global_origins: dict[str, Origins] = field(default_factory=dict)
    main: dict[str, object] = field(default_factory=dict)
    devices: dict[str, Device] = field(default_factory=dict)
    device_groups: dict[str, DeviceGroup] = field(default_factory=dict)
    notices: dict[str, Notice] = field(default_factory=dict)
    budgets: dict[str, Budget] = field(default_factory=dict)
    hosts: tuple[Host, ...] = ()
    lease_files: tuple[str, ...] = ()
    exemptions_broken: bool = False
    incomplete: bool = False
