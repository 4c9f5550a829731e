"""What `status` answers: counters of the whole daemon as plain data. Numbers of events are totals since start."""

import time

from ... import __version__
from ..base.portable import monotonic, ordered_dict
from . import health, origins
from .absent import NO_BUDGETS, NO_DEVICES, NO_NOTICES, NO_USAGE

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any, Protocol

    from ..base.dispatcher import Dispatcher
    from ..devices.learning import Learner
    from ..engine.engine import Engine
    from ..engine.policy import Policy
    from ..netlink.interfaces import Interfaces
    from ..stream.client import Client
    from ..targets.counters import Counters
    from ..targets.owntable import Tally
    from ..targets.registry import Registry
    from ..targets.sets.usage import Usage
    from ..usage.budgets import Budgets

    Data = dict[str, Any]

    class Facts(Protocol):
        """Who knows something of its own for the status."""

        def status(self) -> Data: ...

    class Telling(Protocol):
        """Who tells people what happens."""

        def status(self, wall: Callable[[int], int | None]) -> Data: ...
        def test(self, which: str, reply: Callable[[int, Data | None], object]) -> bool: ...
        def use(self, data: Data, file: str) -> bool: ...
        def budget(self, budget: str, device: str, percent: int) -> None: ...
        def close(self) -> None: ...

    class Budgeted(Facts, Protocol):
        """Who has the accounts of budgets."""

        budgets: Budgets
        on_event: Callable[[str, str, int], object] | None

    class Loaded(Protocol):
        """Who has loaded the policy."""

        info: Data

    class Paused(Protocol):
        """Who knows what is paused."""

        def listed(self) -> list[Data]: ...
        def until(self, name: str) -> int | None: ...

    class Noticing(Protocol):
        """Who has findings of its own."""

        def findings(self) -> list[Data]: ...

    class Reporting(Protocol):
        """The daemon, as far as its status needs it."""

        started: float
        decoder: str
        dispatcher: Dispatcher
        engine: Engine
        client: Client
        interfaces: Interfaces
        registry: Registry
        learner: Learner | None
        usage: Usage | None
        rerouter: Noticing | None
        accounts: Facts | None
        notices: Telling | None
        budgeting: Budgeted | None

        @property
        def loader(self) -> Loaded: ...
        @property
        def news(self) -> Facts: ...
        @property
        def pauses(self) -> Paused: ...
        @property
        def lag(self) -> float | None: ...
        def now(self) -> int: ...
        def longest_turn(self) -> float: ...


def no_policy(files: list[str]) -> "Data":
    """Return what `policy` tells before there is one: whoever loads it changes that. `files`: of the configuration.

    `compiling`: since when the compiler has been running, epoch seconds. `last_good`: kind and name of each section in its last
    good version. `watched`: see `Watched.files`.
    """
    return {
        "generation": 0,
        "loaded_at": None,
        "failed_at": None,
        "compiling": None,
        "files": files,
        "errors": 0,
        "warnings": 0,
        "reports": [],
        "last_good": [],
        "watched": [],
    }


def memory() -> dict[str, int]:
    """Return the resident memory now and at its highest, in kB; 0 where /proc does not tell."""
    found = {"rss_kb": 0, "peak_kb": 0}
    try:
        with open("/proc/self/status") as file:
            for line in file:
                name, _, value = line.partition(":")
                if name in ("VmRSS", "VmHWM"):
                    found["rss_kb" if name == "VmRSS" else "peak_kb"] = int(value.split()[0])
    except (OSError, ValueError, IndexError):
        pass
    return found


def wall(second: int, now: int) -> int | None:
    """Turn a second of the loop's clock into epoch seconds; None for never."""
    return int(time.time()) - (now - second) if second else None


def report(daemon: "Reporting", budget: int) -> "Data":
    """Return the status of a daemon; actions and targets up to about `budget` bytes in all."""
    engine, client, registry = daemon.engine, daemon.client, daemon.registry
    met = registry.table.tally()
    shown_actions, more_actions = _fitting(actions(daemon, met), budget // 2)
    shown_targets, more_targets = _fitting(targets(daemon, met), budget // 2)
    policy = dict(daemon.loader.info)
    policy.update(_clock(engine.policy))
    noticed = origins.findings(daemon)
    if daemon.usage is not None:
        noticed += daemon.usage.findings()
    if daemon.rerouter is not None:
        noticed += daemon.rerouter.findings()
    code = client.code
    if client.state == "connected":
        code = "source-silent" if [1 for one in noticed if one["code"] == "source-silent"] else ""
    bad = dict(engine.bad)
    bad.update(client.bad_counts())
    found = {
        "version": __version__,
        "uptime": int(monotonic() - daemon.started),
        "time": int(time.time()),
        "source": {
            "uri": client.uri,
            "state": client.state,
            "connected": client.state == "connected",
            "agent_version": engine.agent.get("agent_version"),
            "records": engine.records,
            "bytes": client.bytes,
            "kinds": dict(engine.kinds),
            "bad": bad,
            "connects": client.connects,
            "reconnects": max(0, client.connects - 1),
            "decoder": daemon.decoder,
            "lag": daemon.lag,
            "last_record": int(time.time() - (monotonic() - engine.heard_at)) if engine.heard_at else None,
            "last_error": client.last_error,
            "code": code,
        },
        "findings": noticed,
        "policy": policy,
        "flows": {
            "live": engine.flows.live(),
            "kept": len(engine.kept),
            "evaluated": engine.evaluated,
            "matched": engine.matched,
            "exempt": engine.exempt,
            "duplicates": engine.networks.twice,
            "before": len(engine.census.late),
            "dropped": engine.flows.dropped + engine.kept.dropped,
            "max": engine.flows.most,
        },
        "networks": origins.networks(daemon, wall),
        "paused": daemon.pauses.listed(),
        "actions": shown_actions,
        "actions_left_out": more_actions,
        "targets": shown_targets,
        "targets_left_out": more_targets,
        "kernel": _kernel(registry),
        "devices": daemon.learner.status() if daemon.learner is not None else dict(NO_DEVICES),
        "usage": daemon.accounts.status() if daemon.accounts is not None else dict(NO_USAGE),
        "budgets": daemon.budgeting.status() if daemon.budgeting is not None else dict(NO_BUDGETS),
        "notices": daemon.notices.status(lambda second: wall(second, daemon.now())) if daemon.notices else dict(NO_NOTICES),
        "ubus": daemon.news.status(),
        "loop": {"longest_ms": daemon.longest_turn()},
        "faults": daemon.dispatcher.status(),
        "memory": memory(),
    }
    found["health"] = health.report(found)
    return found


def _clock(policy: "Policy | None") -> "Data":
    """Return the zone that hours are read in, and the time there; "" when no action has hours."""
    local = policy.local_time(int(time.time())) if policy is not None else ""
    return {"zone": policy.zone_name if policy is not None and local else "", "local_time": local}


def _fitting(table: "Data", budget: int) -> "tuple[Data, int]":
    """Return as many of the first entries as take about `budget` bytes, and how many are left out."""
    taken: Data = ordered_dict()
    for name, value in table.items():
        budget -= 100 + len(name) + len(str(value))
        if budget < 0:
            break
        taken[name] = value
    return taken, len(table) - len(taken)


def actions(daemon: "Reporting", met: "Tally") -> "Data":
    """Return the actions of the active policy by name, in the order in which they are tried. `met`: of the own table."""
    policy = daemon.engine.policy
    found: Data = ordered_dict()
    if policy is None:
        return found
    now = daemon.now()
    counts = policy.action_counts()
    kept = _in_last_good(daemon, "action")
    edges = policy.edges(int(time.time()))
    budgets = policy.budgets
    spent = daemon.budgeting.budgets.spent_by() if daemon.budgeting is not None else {}
    for number, (name, enabled, reason, reached, code) in enumerate(policy.actions):
        count, last = counts[number]
        before, then = policy.kept_counts.get(name, (0, 0))
        schedule = policy.schedules[number]
        found[name] = {
            "enabled": enabled,
            "active": not reason,
            "reason": reason,
            "code": code,
            "last_good": name in kept,
            "in_hours": policy.in_hours(number),
            "hours": policy.hours[schedule] if schedule >= 0 else "",
            "until": edges[schedule] if schedule >= 0 else "",
            "paused_until": daemon.pauses.until(name),
            "targets": list(reached),
            "matches": before + count,
            "last_match": wall(max(last, then), now),
            "traffic": traffic(met[1][name]) if name in met[1] else None,
            "budget": budgets[policy.budget_of[number]]["name"] if policy.budget_of[number] >= 0 else "",
            "budget_spent": spent.get(policy.budget_of[number], 0),
        }
    return found


def traffic(counts: "list[int] | None") -> "Data":
    """Return what a firewall target, or an action through such targets, holds, and the packets and bytes that met it."""
    held, packets, size = counts or (0, 0, 0)
    return {"held": held, "packets": packets, "bytes": size}


def _kernel(registry: "Registry") -> "Data":
    """Return what was sent to the kernel, and what it said."""
    sets, connections = registry.sets, registry.connections
    return {
        "batches": sets.batches + (connections.batches if connections is not None else 0),
        "lost_answers": sets.lost_answers() + (connections.netlink.lost if connections is not None else 0),
        "cut": connections.cut_count if connections is not None else 0,
        "cut_later": len(connections.cuts.later) if connections is not None else 0,
        "searches": connections.search.readings if connections is not None else 0,
    }


def targets(daemon: "Reporting", met: "Tally") -> "Data":
    """Return the targets of the active policy by name. `met`: of the own table."""
    now = daemon.now()
    found: Data = ordered_dict()
    kept = _in_last_good(daemon, "target")
    for target in daemon.registry.described:
        found[target["name"]] = _target(target, daemon.registry, daemon.pauses, now)
        if target["type"] == "firewall":
            row = found[target["name"]]
            row["traffic"] = traffic(met[0].get(target["name"]))
            row["elements"] = row["traffic"]["held"]
        found[target["name"]]["last_good"] = target["name"] in kept
    return found


def _in_last_good(daemon: "Reporting", kind: str) -> "list[str]":
    """Return the names of the sections of a kind that have an error and are in their last good version."""
    return [row["name"] for row in daemon.loader.info["last_good"] if row["kind"] == kind]


def _why_not(target: "Data", bound: "Any") -> tuple[str, str]:
    """Return why no flow reaches a target, in words and as a code; both "" when they do."""
    if bound is not None:
        return "", ""
    if not target["enabled"]:
        return "the target is disabled", "target-disabled"
    if target["trouble"]:
        return str(target["trouble"]) + ": see nfa check", "target-unusable"
    if target["type"] == "firewall":
        # Its part of the table is made only for an action that is applied.
        return "no action that is applied uses it", "target-idle"
    return "none of its sets can be used: see nfa check", "target-unusable"


def _trouble(target: "Data", bound: "Any", counters: "Counters") -> tuple[str, str, bool]:
    """Return what is wrong with a target now, in words and as a code (both "": nothing), and whether its last error is over:
    it has worked since."""
    if bound is None:
        return "", "", False
    if target["type"] == "firewall":
        trouble, code = bound.trouble()
    elif target["type"] == "sink":
        trouble, code = bound.channel.trouble, "sink-failed" if bound.channel.trouble else ""
    else:
        trouble, code = next(((slot.trouble, slot.trouble_code) for slot in bound.slots if slot.trouble), ("", ""))
    if target["type"] in ("ctmark", "ctlabel"):
        return trouble, code, not trouble and all(slot.worked_at > counters.error_time for slot in bound.slots)
    return trouble, code, not trouble and target["type"] != "log"


def troubles(daemon: "Reporting") -> "dict[str, str]":
    """Return the targets that are enabled and do not work, and why."""
    found: dict[str, str] = {}
    registry = daemon.registry
    for target in registry.described:
        bound: Any = registry.targets.get(target["name"])
        reason, code = _why_not(target, bound)
        if code not in ("", "target-disabled", "target-idle"):
            found[target["name"]] = reason
        elif bound is not None:
            trouble = _trouble(target, bound, registry.counters(target["name"], target["type"]))[0]
            if trouble:
                found[target["name"]] = trouble
    return found


def _target(target: "Data", registry: "Registry", pauses: "Paused", now: int) -> "Data":
    counters = registry.counters(target["name"], target["type"])
    bound: Any = registry.targets.get(target["name"])
    slots = bound.slots if bound is not None else []
    trouble, code, over = _trouble(target, bound, counters)
    if not trouble and bound is not None and registry.connections is not None:
        trouble = registry.connections.cuts.trouble(target["name"])
        code, over = ("cut-refused", False) if trouble else (code, over)
    reason, inactive = _why_not(target, bound)
    pending = 0
    if bound is not None and target["type"] in ("log", "sink"):
        pending = len(bound.log) if target["type"] == "log" else bound.waiting()
    return {
        "type": target["type"],
        "enabled": target["enabled"],
        "active": bound is not None,
        "reason": reason,
        "paused_until": pauses.until(target["name"]),
        "elements": sum([slot.present for slot in slots]) + pending,
        "traffic": None,
        "sets": [
            {
                "name": slot.data["set"],
                "table": slot.data["table"],
                "elements": slot.present,
                "trouble": slot.trouble,
                "code": slot.trouble_code,
            }
            for slot in slots
        ],
        "kind": target.get("channel", {}).get("kind", ""),
        "readers": bound.readers() if bound is not None and target["type"] == "sink" else 0,
        "trouble": trouble,
        "code": code or inactive,
        "over": over,
        "added": counters.added,
        "refreshed": counters.refreshed,
        "withdrawn": counters.withdrawn,
        "restored": counters.restored,
        "errors": counters.errors,
        "skipped": counters.skipped,
        "last_error": counters.last_error,
        "last_error_at": wall(counters.error_time, now) if counters.kind != "log" else counters.error_time or None,
    }
