"""The notices of a configuration: what a person wants to know, and where that is told.

In: the sections of all files, merged; actions, devices and what finds channels. Out: the `Notice`s by name. One with an error
is reported, and stays in its last good version or is left out: nothing is told less, or elsewhere, without a word.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import cast

from nfa.compiler.base.report import did_you_mean, quote
from nfa.compiler.config.channels import Finder, normal
from nfa.compiler.config.convert import Context
from nfa.compiler.config.document import Section
from nfa.compiler.config.groups import STAYS
from nfa.compiler.config.model import Channel, Device, DeviceGroup, Notice, Text
from nfa.compiler.config.options import NOTICE_OPTIONS
from nfa.compiler.config.origins import Origins
from nfa.compiler.config.properties import complete, convert, is_off
from nfa.compiler.config.servers import Server
from nfa.compiler.config.targets import usable_name

LEFT_OUT = "the notice is left out"
OF_DEVICES = ("new_device", "new_application", "weak_tls", "blocked", "budget")
"""Events that are of a device."""
_OF_KIND = {"ntfy": "http", "telegram": "http", "home_assistant": "mqtt"}
"""Formats that only one type of sink can send."""


class Reader:
    """Reads notices. `finder`: of channels; `actions`: whether they block, by name."""

    def __init__(
        self,
        context: Context,
        finder: Finder,
        actions: Mapping[str, bool],
        devices: Mapping[str, Device],
        groups: Mapping[str, DeviceGroup],
        limited: bool = False,
    ) -> None:
        self.context = context
        self.finder = finder
        self.actions = actions
        self.devices = devices
        self.groups = groups
        self.limited = limited
        """Some action names a budget."""

    def read(self, sections: Iterable[Section]) -> dict[str, Notice]:
        """The notices, by name."""
        keeping = self.context.keeping
        found: dict[str, Notice] = {}
        for section in sections:
            name = section.name.value
            last = keeping.last.notices.get(name)
            off = is_off("enabled", section, NOTICE_OPTIONS, self.context)
            instead = "the notice is disabled anyway" if off else STAYS if last else LEFT_OUT
            notice = self._notice(section, instead)
            if notice is None and last is not None and not off:
                notice = replace(last, place=section.name.place)
                keeping.kept["notice", name] = None
            if notice is None:
                continue
            if notice.enabled and not notice.trouble:
                keeping.good.notices[name] = replace(notice, origins=Origins())
            found[name] = notice
        return found

    def _notice(self, section: Section, instead: str) -> Notice | None:
        """One notice; None, with an error for each thing that is wrong with it."""
        name, reports = section.name, self.context.reports
        what = f"notice {quote(name.value)}"
        before = len(reports.errors)
        named = usable_name("a notice", name, instead, reports)
        if section.broken:
            reports.error("bad-value", section.broken, f"{what} is not an object", consequence=instead)
            return None
        own = convert(what, section.properties, NOTICE_OPTIONS, self.context, instead)
        found = complete(what, name.place, NOTICE_OPTIONS, [own], self.context, instead)
        if found is None or own.broken or not named:
            return None
        values = found.values
        notice = Notice(name.value, name.place, bool(values.pop("enabled")), values, Origins(found.origins))
        if values["sink"] is None and not values["to"]:
            values["to"] = ("log",)
        notice.devices = self._devices(notice, instead)
        self._check_actions(notice, instead)
        self._check_events(notice)
        problem = self._problem(notice)
        if problem:
            reports.error("options-conflict", name.place, f"{what} {problem}", consequence=instead)
        elif notice.enabled and values["sink"] is not None:
            self._connect(notice, instead)
        return notice if len(reports.errors) == before else None

    def _devices(self, notice: Notice, instead: str) -> tuple[str, ...]:
        """The names of the devices that it is about; () for all."""
        names: dict[str, None] = {}
        reports = self.context.reports
        for text in cast("list[Text]", notice.options["devices"]):
            word = text.value.strip().removeprefix("@")
            if word in self.groups and not self.groups[word].broken:
                names.update(dict.fromkeys(self.groups[word].devices))
            elif word in self.devices and not self.devices[word].broken:
                names[word] = None
            elif word in self.groups or word in self.devices:
                message = f"{notice.what}: the device or group {quote(word)} has an error"
                reports.error("device-unusable", text.place, message, consequence=instead)
            else:
                message = f"{notice.what}: there is no device or group {quote(word)}"
                hint = did_you_mean(word, (*self.devices, *self.groups))
                reports.error("unknown-device", text.place, message, hint=hint, consequence=instead)
        events = cast("tuple[str, ...]", notice.options["events"])
        if names and not any(event in OF_DEVICES for event in events):
            message = f"{notice.what} names devices, but none of its events is of a device"
            reports.warning("option-unused", notice.place, message, consequence="'device' has no effect")
        return tuple(names)

    def _check_actions(self, notice: Notice, instead: str) -> None:
        """Report actions that there are not."""
        reports = self.context.reports
        texts = cast("list[Text]", notice.options["actions"])
        for text in texts:
            if text.value.strip() not in self.actions:
                message = f"{notice.what} names the action {quote(text.value)}, which does not exist"
                hint = did_you_mean(text.value, self.actions)
                reports.error("unknown-action", text.place, message, hint=hint, consequence=instead)
        if "blocked" not in cast("tuple[str, ...]", notice.options["events"]):
            if texts:
                message = f"{notice.what} names actions, but 'blocked' is none of its events"
                reports.warning("option-unused", notice.place, message, consequence="'action' has no effect")
            return
        hint = "only targets of type firewall with a 'verdict' block"
        for text in texts:
            if self.actions.get(text.value.strip()) is False:
                message = f"{notice.what}: the action {quote(text.value.strip())} blocks nothing"
                reports.warning("notice-idle", text.place, message, hint=hint, consequence="it is never told")
        if not texts and not any(self.actions.values()):
            message = f"{notice.what}: no action blocks anything"
            reports.warning("notice-idle", notice.place, message, hint=hint, consequence="'blocked' is never told")

    def _check_events(self, notice: Notice) -> None:
        """Report what is waited for in vain."""
        events, reports = cast("tuple[str, ...]", notice.options["events"]), self.context.reports
        if "budget" in events and not self.limited:
            message = f"{notice.what}: no action names a budget"
            hint = "write in an action: option budget 'NAME'"
            reports.warning("notice-idle", notice.place, message, hint=hint, consequence="'budget' is never told")
        if "tls_below" in notice.origins.values and "weak_tls" not in events:
            message = f"{notice.what} has 'tls_below', but 'weak_tls' is none of its events"
            reports.warning("option-unused", notice.place, message, consequence="'tls_below' has no effect")

    def _problem(self, notice: Notice) -> str:
        """What its options contradict each other in; "" when they do not."""
        options = notice.options
        form = str(options["format"])
        if form != "json" and options["sink"] is None:
            return f"has format {quote(form)}, but no sink: 'log' and 'ubus' have a form of their own"
        telegram = form == "telegram"
        for option in ("token", "chat"):
            if telegram and not options[option]:
                return f"has format 'telegram', but no {quote(option)}"
            if options[option] and not telegram:
                return f"has {quote(option)}, which only format 'telegram' uses"
        return ""

    def _connect(self, notice: Notice, instead: str) -> None:
        """Find its channel. What is wrong with it is an error."""
        finder, reports = self.finder, self.context.reports
        if finder.elsewhere(notice):
            return
        finder.instead = instead
        channel = finder.channel(notice)
        if channel is None:
            notice.trouble = "its sink or channel cannot be used"
            key = normal(str(notice.options["sink"])), normal(str(notice.options["channel"]))
            if key in finder.off:
                notice.enabled = False  # off is off: that was said
            return
        form = str(notice.options["format"])
        wanted = _OF_KIND.get(form)
        problem = ""
        if wanted and channel.kind != wanted:
            but = f"but {quote(channel.sink)} is of type '{channel.kind}'"
            problem = f"has format {quote(form)}, which needs a sink of type '{wanted}', {but}"
        elif form == "text" and channel.kind in ("log", "ubus"):
            problem = f"has format 'text', which a sink of type '{channel.kind}' does not have"
        elif form == "ntfy" and not _topic(channel)[1]:
            problem = f"has format 'ntfy', but the url of {quote(channel.sink)} names no topic"
        if problem:
            hint = "write url 'https://ntfy.sh/TOPIC'" if form == "ntfy" and channel.kind == "http" else ""
            reports.error("options-conflict", notice.place, f"{notice.what} {problem}", hint=hint, consequence=instead)
            return
        if channel.kind == "socket" and not str(channel.options["listen"]).startswith("udp:"):
            other = finder.listening.setdefault(channel.options["listen"], notice)
            if other is not notice and not _alike(other.options, notice.options, other.channel, channel):
                there = f"which {other.what} already uses in another form"
                message = f"{notice.what} listens on {channel.options['listen']}, {there}"
                reports.error("channel-conflict", notice.place, message, consequence=instead)
                return
        notice.channel = channel


def _alike(one: dict[str, object], other: dict[str, object], first: Channel | None, second: Channel) -> bool:
    """Whether two that listen on one address send through one channel in one form."""
    same = first is not None and (normal(first.sink), normal(first.name)) == (normal(second.sink), normal(second.name))
    plain = one.get("compressor", "none") == "none" and not one.get("header", False)
    return same and plain and one["format"] == other["format"]


def _topic(channel: Channel) -> tuple[str, str]:
    """The path of ntfy's server, and the topic, which is the last part of the path that the sink's url has."""
    path, mark, query = cast(Server, channel.options["url"]).path.partition("?")
    folder, _, topic = path.rpartition("/")
    return f"{folder}/{mark}{query}", topic


def sent_through(notice: Notice) -> Channel:
    """The channel of a notice, with what the format of the notice makes of it: one notice in each request, and where to."""
    channel = notice.channel
    assert channel is not None
    options = dict(channel.options)
    form = str(notice.options["format"])
    if channel.kind == "http":
        options["batch"] = 1
        url = cast(Server, options["url"])
        if form == "ntfy":
            options["url"] = replace(url, path=_topic(channel)[0])
        elif form == "telegram":
            options["url"] = replace(url, path=f"{url.path.rstrip('/')}/bot{notice.options['token']}/sendMessage")
        headers = cast("tuple[tuple[str, str], ...]", options["headers"])
        if form == "text" and not any(name.lower() == "content-type" for name, _ in headers):
            options["headers"] = (*headers, ("Content-Type", "text/plain; charset=utf-8"))
    return replace(channel, options=options)


def topic_of(notice: Notice) -> str:
    """The topic of ntfy that a notice goes to."""
    assert notice.channel is not None
    return _topic(notice.channel)[1]
