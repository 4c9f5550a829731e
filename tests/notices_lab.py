"""What tests of notices share: a whole daemon whose policy has notices, a clock that the test sets, and what was told.

In: a configuration and records. Out: `Told`, whose `said` are the sentences that notices wrote to the log.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import samples
from house import House

Record = dict[str, Any]
START = 1_800_000_000.0
"""What the wall clock shows when a test begins."""

HOSTILE = {
    "escape sequences": "\x1b[2J\x1b]0;owned\x07",
    "new lines": "tv\r\nX-Evil: 1\r\n\r\nbody",
    "a line of the log": "tv\nnfa: notice 'x': netifyd is back",
    "nul": "tv\0hidden",
    "C1 controls": "tv\x9b31m\x85next",
    "line separators": "tv\u2028next\u2029last",
    "right to left": "tv\u202egnp.exe",
    "isolates": "\u2066tv\u2069\u2067evil",
    "invisible": "t\u200bv\ufeff\u00ad\u2060",
    "tags": "tv\U000e0041\U000e0042",
    "half a pair": "tv\ud800",
    "private use": "tv\ue000\U000f0000",
    "heaps of marks": "t" + "\u0301" * 500 + "v",
    "very long": "A" * 100_000,
    "only blanks": " \t \u3000 ",
    "quotes": "tv\u201d is fine. \u201cAll\" 'good' `x`",
    "html": "<b>tv</b><script>alert(1)</script>&amp;",
    "markdown": "*tv* _x_ [click](http://evil.example/) ```",
    "link and mention": "https://evil.example/@admin",
    "json": '"},{"a":"b',
    "topic": "nfa/+/#/$SYS",
    "templates": "{device}{application} %s ${x} {{ states }}",
}
"""Kinds of names that strangers choose."""

POLICY: dict[str, Any] = {
    "version": 1,
    "usage": False,
    "actions": {"videos": {"criteria": ["app == 'netify.youtube';"], "targets": ["stop"]}},
    "targets": {"stop": {"target_type": "firewall", "verdict": "reject"}},
    "devices": {"tablet": {"mac": "00:11:22:33:00:01", "title": "Tom's tablet"}},
}


def policy(notices: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A policy with these notices."""
    return POLICY | {"notices": notices} | more


def all_events(**more: Any) -> dict[str, Any]:
    """A notice of everything, to the log."""
    events = ["new_device", "new_application", "weak_tls", "blocked", "budget", "agent", "trouble"]
    return {"event": events, "limit": 1000} | more


def mac(number: int) -> str:
    return f"00:11:22:33:{number >> 8:02x}:{number & 255:02x}"


def flow(number: int, application: str = "netify.netflix", **fields: Any) -> Record:
    """A flow record of a device. Each has another digest."""
    port = fields.pop("port", 1000 + number)
    made = samples.flow("HTTP/S", "netify.netflix", local=f"192.168.{1 + (number >> 8)}.{number & 255}", local_port=port)
    made["flow"]["local_mac"] = mac(number)
    made["flow"]["detected_application_name"] = application
    made["flow"] |= fields
    return made


class Told(House):
    """A house whose notices are heard."""

    def __init__(self, folder: Path, config: dict[str, Any], learnt: bool = True, uci: str = "") -> None:
        super().__init__(folder, config, uci)
        self.said: list[str] = []
        self.daemon.log.say = self._hear  # type: ignore[method-assign]
        notices: Any = self.daemon.notices
        self.notices = notices
        self.wall = START
        notices._clock = lambda: self.wall
        notices.memory.learnt = learnt
        self.count = 0

    def _hear(self, level: str, text: str) -> None:
        if text.startswith("notice '"):
            self.said.append(text.partition(": ")[2])

    def feed(self, *records: Record) -> None:
        self.daemon.engine.policy.keep_hours(int(self.wall))  # type: ignore[union-attr]
        self.daemon.counted.usage.counting.forget_codes() if self.daemon.counted and self.daemon.counted.usage else None
        super().feed(*records)

    def forward(self, seconds: float, step: float = 5.0) -> None:
        """Let time pass, as far as notices are concerned."""
        end = self.daemon.dispatcher.moment + seconds
        while self.daemon.dispatcher.moment < end:
            self.daemon.dispatcher.moment += step
            self.wall += step
            self.notices._poll()

    def heard(self) -> Sequence[str]:
        """What was said since the last call."""
        found, self.said = self.said, []
        return found
