"""Whether all is well, and what is not: one definition, for `nfa status --health`, LuCI, and whoever asks on the bus.

In: what `status` answers. Out: a state, and problems, the worst first. Each problem has

    severity   "critical": something that the policy says does not happen now; "warning": it does, but somebody should look;
               "info": it was so since the start, and need not be any more: this makes no state worse
    code       the kind of problem (docs/codes.md)
    of         what it is about: source, policy, target, set, notice, flows, loop, faults
    name, set  the target or notice, and the set where it is one; else ""
    text       in words
"""

MYPY = False
if MYPY:
    from typing import Any

    Data = dict[str, Any]

OK, WARNING, CRITICAL = "ok", "warning", "critical"
MAX_PROBLEMS = 50
STARTING = 5
"""Seconds after the start in which netifyd need not be connected; `FIRST_POLICY`: in which there need not be a policy."""
FIRST_POLICY = 60
SILENT = 60
"""Seconds after which a source without a flow is worth a look."""
RECENT = 3600
"""Seconds for which an error, or a fault, counts that nothing shows to be over."""
LONG_TURN = 500
"""Milliseconds; and for `lag`, seconds."""
LATE = 60

_ORDER = (CRITICAL, WARNING, "info")


def report(status: "Data") -> "Data":
    """Return `state`, `problems` and `left_out`, the number of problems that are not listed."""
    found: list[Data] = []
    _source(status, found)
    _policy(status, found)
    for name, target in status["targets"].items():
        _target(name, target, status["time"], found)
    _notices(status, found)
    _counted(status, found)
    _others(status, found)
    found = [item for severity in _ORDER for item in found if item["severity"] == severity]
    state = found[0]["severity"] if found and found[0]["severity"] != "info" else OK
    return {"state": state, "problems": found[:MAX_PROBLEMS], "left_out": max(0, len(found) - MAX_PROBLEMS)}


def _add(found: "list[Data]", severity: str, code: str, of: str, text: str, name: str = "", of_set: str = "") -> None:
    found.append({"severity": severity, "code": code, "of": of, "name": name, "set": of_set, "text": text})


def _source(status: "Data", found: "list[Data]") -> None:
    source = status["source"]
    if not source["connected"]:
        if status["uptime"] >= STARTING:
            why = ": " + source["last_error"] if source["last_error"] else ""
            _add(found, CRITICAL, source["code"] or "source-missing", "source", "netifyd is not connected" + why)
        return
    if source["code"] != "source-silent" and status["uptime"] > SILENT and not source["kinds"].get("flow"):
        what = "has sent nothing" if not source["records"] else "has reported no flow"
        _add(found, WARNING, "source-silent", "source", "netifyd is connected but " + what)
    if source["lag"] is not None and source["lag"] > LATE:
        _add(found, WARNING, "source-late", "source", "decisions come " + str(int(source["lag"])) + " s after the traffic")


def _policy(status: "Data", found: "list[Data]") -> None:
    policy = status["policy"]
    if not policy["generation"]:
        if policy["failed_at"] is None and status["uptime"] < FIRST_POLICY:
            _add(found, WARNING, "policy-starting", "policy", "the first policy is being compiled")
        else:
            _add(found, CRITICAL, "no-policy", "policy", "no policy is active: see nfa check")
    elif policy["failed_at"] is not None:
        text = "the last configuration cannot be used, the one before stays active: see nfa check"
        _add(found, CRITICAL, "policy-failed", "policy", text)
    elif policy["errors"]:
        errors = "1 error" if policy["errors"] == 1 else str(policy["errors"]) + " errors"
        _add(found, CRITICAL, "policy-errors", "policy", "the configuration has " + errors + ": see nfa check")


def _target(name: str, target: "Data", now: int, found: "list[Data]") -> None:
    if not target["enabled"] or target["code"] == "target-idle":
        return
    begin = "target '" + name + "'"
    troubled = [one for one in target["sets"] if one["trouble"]]
    if not target["active"]:
        _add(found, CRITICAL, target["code"], "target", begin + " is not in use: " + target["reason"], name)
    elif troubled:
        for one in troubled:
            _add(found, CRITICAL, one["code"], "set", begin + ", " + one["name"] + ": " + one["trouble"], name, one["name"])
    elif target["trouble"]:
        _add(found, CRITICAL, target["code"], "target", begin + ": " + target["trouble"], name)
    elif target["errors"] and not target["over"] and target["last_error_at"] and now - target["last_error_at"] < RECENT:
        _add(found, WARNING, "target-failed", "target", begin + " had an error: " + target["last_error"], name)


def _notices(status: "Data", found: "list[Data]") -> None:
    for name, notice in status.get("notices", {}).get("notices", {}).items():
        if notice["trouble"]:
            text = "notice '" + name + "' cannot be sent: " + notice["trouble"]
            _add(found, WARNING, "notice-failed", "notice", text, name)


def _counted(status: "Data", found: "list[Data]") -> None:
    for part in ("usage", "budgets", "notices"):
        file = status.get(part, {})
        if file.get("trouble"):
            text = "what is kept of " + part + " in " + file["file"] + ": " + file["trouble"] + "; it goes on in memory"
            _add(found, WARNING, file["code"], part, text)
    gone = status.get("budgets", {}).get("forgotten", 0)
    if gone:
        text = (
            str(gone)
            + " accounts of budgets were forgotten, since there were too many: those devices may use more than their budget"
        )
        _add(found, WARNING, "budgets-full", "budgets", text)


def _others(status: "Data", found: "list[Data]") -> None:
    for one in status.get("findings", ()):
        severity = "info" if one["severity"] == "info" else WARNING
        of = "set" if one.get("set") else "source" if one["code"] == "source-silent" else "flows"
        text = one["message"] + ("; " + one["hint"] if one["hint"] else "")
        _add(found, severity, one["code"], of, text, one.get("target", ""), one.get("set", ""))
    flows, faults, bad = status["flows"], status["faults"], status["source"]["bad"]
    if status["loop"]["longest_ms"] > LONG_TURN:
        text = "the daemon was busy for " + str(int(status["loop"]["longest_ms"])) + " ms at a stretch"
        _add(found, WARNING, "loop-slow", "loop", text)
    if faults["count"]:
        severity = WARNING if status["time"] - (faults["last_at"] or 0) < RECENT else "info"
        _add(found, severity, "fault", "faults", str(faults["count"]) + " faults of nfa, the last one: " + faults["last"])
    if flows["dropped"]:
        text = str(flows["dropped"]) + " flows were evicted: there were more than max_flows, " + str(flows["max"])
        _add(found, "info", "flows-evicted", "flows", text)
    count = sum([bad[kind] for kind in bad if kind != "resync_bytes"])
    if count:
        _add(found, "info", "records-bad", "source", str(count) + " records of netifyd could not be used")
