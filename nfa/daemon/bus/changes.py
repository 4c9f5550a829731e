"""Methods that change something: reload, flush, adopt, pause, resume. A browser needs the right to write for them."""

from ..engine.policy import ALL
from .calls import Refused, slots_of
from .ubus import INVALID_ARGUMENT, NOT_FOUND, UNKNOWN_ERROR

MYPY = False
if MYPY:
    from .calls import Answering, Data, Reply


def reload(daemon: "Answering", given: "Data", reply: "Reply") -> None:
    """Reload the configuration, as SIGHUP does; the answer comes when that is done."""
    daemon.loader.reload(reply)


def flush(daemon: "Answering", given: "Data", reply: "Reply") -> "Data":
    """Empty the sets of a target. Flows that go on come back with their next records."""
    name = given.get("target", "")
    if not name:
        raise Refused(INVALID_ARGUMENT, "'target' is required: the target whose sets are to be flushed")
    slots = slots_of(daemon, name)
    if not slots:
        raise Refused(INVALID_ARGUMENT, repr(name[:128]) + " has no set to flush: it has another type, or is not active")
    withdrawn, problem = daemon.registry.flush_slots(slots)
    if problem:
        raise Refused(UNKNOWN_ERROR, problem)
    return {"target": name, "kind": slots[0].data["kind"], "sets": len(slots), "withdrawn": withdrawn}


def adopt(daemon: "Answering", given: "Data", reply: "Reply") -> None:
    """Have the connections that began before nfa begin again: see docs/connections.md."""
    if "dry_run" not in given:
        raise Refused(INVALID_ARGUMENT, "'dry_run' is required: true to count connections, false to interrupt them")
    daemon.adopt(bool(given["dry_run"]), reply)


def notice(daemon: "Answering", given: "Data", reply: "Reply") -> None:
    """Send a test of a notice, and answer whether its channel took it."""
    name = given.get("name", "")
    telling = daemon.notices
    if not name:
        raise Refused(INVALID_ARGUMENT, "'name' is missing: name a notice")
    if telling is None:
        raise Refused(NOT_FOUND, "the active policy has no notice")
    if not telling.test(name, reply):
        known = ", ".join(telling.status(lambda second: None)["notices"]) or "none"
        raise Refused(NOT_FOUND, "no such notice: " + repr(name[:128]) + "; known: " + known)


def pause(daemon: "Answering", given: "Data", reply: "Reply") -> "Data":
    """Pause an action, a target or everything: it does nothing for a while, and what it has done is taken back."""
    name, seconds = _pausable(daemon, given), given.get("seconds")
    if seconds is None:
        raise Refused(INVALID_ARGUMENT, "'seconds' is required: how long the pause is to last")
    try:
        return {"name": name, "until": daemon.pauses.pause(name, seconds)}
    except ValueError as problem:
        raise Refused(INVALID_ARGUMENT, str(problem)) from None


def resume(daemon: "Answering", given: "Data", reply: "Reply") -> "Data":
    """End a pause, or all of them."""
    name = given.get("name", "")
    if name not in daemon.pauses.names():
        name = _pausable(daemon, given)
    return {"resumed": daemon.pauses.resume(name)}


def _pausable(daemon: "Answering", given: "Data") -> str:
    """Return the name of an action or target that a call gives, or ALL. Raises Refused."""
    name: str = given.get("name", "")
    if not name:
        raise Refused(INVALID_ARGUMENT, "'name' is required: an action, a target, or " + ALL)
    policy = daemon.engine.policy
    actions = [action[0] for action in policy.actions] if policy is not None else []
    targets = [target["name"] for target in daemon.registry.described]
    if name not in [ALL] + actions + targets:
        known = ", ".join((actions + targets)[:20]) or "none"
        raise Refused(NOT_FOUND, "no such action or target: " + repr(name[:128]) + "; known: " + known)
    return name
