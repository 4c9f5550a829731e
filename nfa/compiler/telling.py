"""What the image has of notices: for the daemon, which tells a person what happens.

In: a compiled policy. Out: plain data, None where the policy has no notice: then the daemon loads nothing for them.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, cast

from .. import __version__
from .config.channels import channel_data
from .config.notices import sent_through, topic_of
from .sentences import TITLES, catalogue

if TYPE_CHECKING:
    from .compile import Compiled
    from .config.model import Notice, Text

TLS_VERSIONS = {"1.0": 0x0301, "1.1": 0x0302, "1.2": 0x0303}
OF_FLOWS = ("new_device", "new_application", "weak_tls", "blocked")
"""Events that somebody must count flows for."""
_SHAPE = {"format": "json", "compressor": "none", "header": False}
_DISCOVERY = "homeassistant"
"""Home Assistant's default prefix of discovery."""
_SUPPORT = "https://github.com/nfa-project/nfa"


def active(compiled: Compiled) -> list[Notice]:
    """The notices that are sent."""
    notices = compiled.policy.notices.values()
    return [notice for notice in notices if notice.enabled and not notice.trouble and (notice.channel or notice.options["to"])]


def counts(compiled: Compiled) -> bool:
    """Whether flows are to be counted for notices."""
    return any(event in OF_FLOWS for notice in active(compiled) for event in _events(notice))


def _events(notice: Notice) -> tuple[str, ...]:
    return cast("tuple[str, ...]", notice.options["events"])


def data_of(compiled: Compiled) -> dict[str, object] | None:
    """The part `notices` of the image."""
    notices = active(compiled)
    if not notices:
        return None
    language = str(compiled.policy.main["language"])
    events = dict.fromkeys(event for notice in notices for event in _events(notice))
    return {
        "notices": [_data(notice, language) for notice in notices],
        "blocking": _blocking(compiled),
        "counts": counts(compiled),
        **catalogue(language, events),
    }


def _data(notice: Notice, language: str) -> dict[str, object]:
    options = notice.options
    form = str(options["format"])
    channel: dict[str, object] = {}
    topic = ""
    if notice.channel is not None:
        channel = channel_data(sent_through(notice), _SHAPE)
        if form == "home_assistant":
            own = cast("dict[str, object]", channel["options"])
            own["announce"] = discovery(notice, str(own["topic"]), language)
        topic = topic_of(notice) if form == "ntfy" else ""
    return {
        "name": notice.name,
        "events": options["events"],
        "to": options["to"],
        "channel": channel,
        "format": form,
        "chat": options["chat"],
        "topic": topic,
        "tls": TLS_VERSIONS[str(options["tls_below"])],
        "actions": tuple(text.value.strip() for text in cast("list[Text]", options["actions"])),
        "devices": notice.devices,
        "limit": options["limit"],
    }


def discovery(notice: Notice, topic: str, language: str) -> tuple[tuple[str, dict[str, object]], ...]:
    """What makes Home Assistant have the notice: topic and content of retained messages (home-assistant.io, integration MQTT).

    An event, for automations, and a sensor with the last sentence, for pages.
    """
    router = os.uname().nodename or "router"
    key = f"nfa_{_slug(router)}_{_slug(notice.name)}"
    common: dict[str, object] = {
        "device": {
            "identifiers": [f"nfa_{_slug(router)}"], "name": f"nfa ({router})", "manufacturer": "nfa",
            "model": "Flow actions", "sw_version": __version__,
        },
        "origin": {"name": "nfa", "sw_version": __version__, "support_url": _SUPPORT},
    }  # fmt: skip
    event = {
        "name": notice.name, "unique_id": f"{key}_event", "state_topic": topic, "icon": "mdi:router-network",
        "event_types": [*_events(notice), "left_out", "test"], **common,
    }  # fmt: skip
    sensor = {
        "name": f"{notice.name}: {TITLES[language]['last']}",
        "unique_id": f"{key}_text", "state_topic": topic, "icon": "mdi:message-text",
        "value_template": "{{ value_json.text[:255] }}", "json_attributes_topic": topic, **common,
    }  # fmt: skip
    return (f"{_DISCOVERY}/event/{key}/config", event), (f"{_DISCOVERY}/sensor/{key}/config", sensor)


def _slug(text: str) -> str:
    """A text as a part of a topic of discovery may be."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", text)[:64]


def _blocking(compiled: Compiled) -> dict[str, tuple[str, ...]]:
    """The actions that block, with the targets by which they do."""
    effects = compiled.firewall["effects"] if compiled.firewall is not None else {}
    blocks = {name for name, effect in effects.items() if effect["block"]}
    found: dict[str, tuple[str, ...]] = {}
    for item in compiled.actions:
        targets = tuple(name for name in dict.fromkeys(item.action.targets) if name in blocks)
        if targets and not item.code:
            found[item.action.name] = targets
    return found
