"""What `status` answers: counters of the whole daemon as plain data. Numbers of events are totals since start."""

import os
import time

from .. import __version__


def _memory() -> int:
    """Return the resident set in kB, 0 where /proc does not tell."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * (os.sysconf("SC_PAGE_SIZE") // 1024)
    except (OSError, ValueError, IndexError):
        return 0


def _wall(second: int, now: int) -> int | None:
    """Turn a second of the loop's clock into epoch seconds; None for never."""
    return int(time.time()) - (now - second) if second else None


def report(daemon) -> dict:
    """Return the status of a daemon (see `nfa.daemon.Daemon`)."""
    engine, client, registry = daemon.engine, daemon.client, daemon.registry
    now = daemon.now()
    policy = engine.policy
    actions: dict[str, dict] = {}
    if policy is not None:
        for (name, enabled, reason, targets), (count, last) in zip(policy.actions, policy.action_counts(), strict=True):
            before, then = policy.kept_counts.get(name, (0, 0))
            actions[name] = {
                "enabled": enabled,
                "active": not reason,
                "reason": reason,
                "targets": list(targets),
                "matches": before + count,
                "last_match": _wall(max(last, then), now),
            }
    return {
        "version": __version__,
        "uptime": int(time.monotonic() - daemon.started),
        "source": {
            "uri": client.uri,
            "state": client.state,
            "connected": client.state == "connected",
            "agent_version": engine.agent.get("agent_version"),
            "records": engine.records,
            "bytes": client.bytes,
            "kinds": dict(engine.kinds),
            "bad": {**engine.bad, **client.bad_counts()},
            "connects": client.connects,
            "reconnects": max(0, client.connects - 1),
            "last_error": client.last_error,
        },
        "policy": dict(daemon.policy_info),
        "flows": {
            "live": engine.live(),
            "evaluated": engine.evaluated,
            "matched": engine.matched,
            "exempt": engine.exempt,
            "dropped": engine.dropped_flows,
        },
        "actions": actions,
        "targets": {target["name"]: _target(target, registry, now) for target in registry.described},
        "kernel": {"batches": registry.sets.batches, "lost_answers": registry.sets.lost_answers()},
        "memory_kb": _memory(),
    }


def _target(target: dict, registry, now: int) -> dict:
    counters = registry.counters(target["name"], target["type"])
    bound = registry.targets.get(target["name"])
    slots = bound.slots if bound is not None and target["type"] != "log" else []
    pending = len(bound.log) if bound is not None and target["type"] == "log" else 0
    return {
        "type": target["type"],
        "enabled": target["enabled"],
        "active": bound is not None,
        "elements": sum([len(slot.live) for slot in slots]) + pending,
        "sets": [
            {"name": slot.data["set"], "table": slot.data["table"], "elements": len(slot.live), "trouble": slot.trouble}
            for slot in slots
        ],
        "added": counters.added,
        "refreshed": counters.refreshed,
        "errors": counters.errors,
        "skipped": counters.skipped,
        "last_error": counters.last_error,
        "last_error_at": _wall(counters.error_time, now) if counters.kind != "log" else counters.error_time or None,
    }
