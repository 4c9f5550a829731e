"""The one table of methods: what may be asked, over ubus and over the control socket, and who answers.

In: a method's name, its arguments as decoded JSON or blobmsg, and `reply(status, data)`. Out: one call of `reply`, at once
or later. A refusal carries words, and a status of ubus: 2 for wrong arguments, 3 for no such method, 4 for no such name.
What takes long is done in slices of the loop's turns or by a child; answers are paged, so none reaches ubus's 1 MiB.
"""

from ..base import json
from ..engine.brief import brief
from ..engine.networks import TWICE
from ..engine.view import MALFORMED
from ..stream.records import BadRecord, classify, read
from ..targets.texts import reader
from . import budget as limited
from . import changes, status
from . import usage as counted
from .calls import PAGE_BYTES, Refused, slots_of
from .ubus import INVALID_ARGUMENT, METHOD_NOT_FOUND, NOT_FOUND, OK

MYPY = False
if MYPY:
    from collections.abc import Iterable
    from typing import Any

    from ..devices.learning import Learner
    from ..engine.policy import Policy
    from .calls import Answering, Data, Method, Reply, Work

MAX_LIMIT = 1000
SLICE = 1000
ASKED = 50
"""Elements of which the kernel is asked, each by itself, in one turn of the loop: about a millisecond."""
"""Elements that a search looks at in one turn of the loop: some milliseconds on a slow router."""
ROWS = 100
"""Devices that are described in one turn."""
SESSION = "ubus_rpc_session"
"""uhttpd adds this argument to every call that comes from a browser."""

_TYPES = {
    "string": (str,),
    "integer": (int,),
    "boolean": (bool, int),
    "table": (dict,),
    "any": (str, list, dict),
}
_WORDS = {"string": "a string", "integer": "a whole number", "boolean": "true or false", "table": "an object", "any": "a value"}


def signatures() -> dict[str, dict[str, str]]:
    """Return what ubus announces: method to argument to type."""
    return {name: arguments for name, (arguments, _) in METHODS.items()}


def answer(daemon: "Answering", method: str, arguments: "Data", reply: "Reply") -> None:
    """Answer one call. Nothing that a caller sends raises."""
    entry = METHODS.get(method)
    if entry is None:
        reply(METHOD_NOT_FOUND, {"error": "no such method: " + method[:64] + "; known: " + ", ".join(METHODS)})
        return
    declared, function = entry
    try:
        given = _checked(declared, arguments)
        data = function(daemon, given, reply)
    except Refused as refusal:
        reply(refusal.code, {"error": str(refusal)})
        return
    if data is not None:
        reply(OK, data)


def _checked(declared: dict[str, str], arguments: "Data") -> "Data":
    """Return the arguments that were given, without uhttpd's session. Raises Refused."""
    given = {}
    for name, value in arguments.items():
        if name == SESSION:
            continue
        kind = declared.get(name)
        if kind is None:
            known = ", ".join(declared) or "none"
            raise Refused(INVALID_ARGUMENT, "unknown argument " + repr(name[:64]) + "; known: " + known)
        if value is None:
            continue
        if not isinstance(value, _TYPES[kind]) or (kind == "integer" and isinstance(value, bool)):
            raise Refused(INVALID_ARGUMENT, "'" + name + "' must be " + _WORDS[kind])
        given[name] = value
    return given


def _window(given: "Data", default: int, most: int = MAX_LIMIT) -> tuple[int, int]:
    """Return (offset, limit). A limit over the most that one answer holds is cut. Raises Refused."""
    offset, limit = given.get("offset", 0), given.get("limit", default)
    if offset < 0 or limit < 0:
        raise Refused(INVALID_ARGUMENT, "'offset' and 'limit' must not be negative")
    return offset, min(limit, most)


def page(key: str, items: "Iterable[Data]", offset: int, limit: int) -> "Data":
    """Return `limit` of the items from `offset` on, or as many as fit into one answer; `total`, and whether there are more."""
    items = list(items)
    taken: list[Data] = []
    size = 0
    for item in items[offset : offset + limit]:
        size += len(json.dumps(item))
        if size > PAGE_BYTES and taken:
            break
        taken.append(item)
    return {key: taken, "offset": offset, "total": len(items), "more": offset + len(taken) < len(items)}


def _matching(table: "Data", search: str) -> "list[Data]":
    """Return name and value of what holds the text in its name, whatever its case; the name becomes a field."""
    search = search.lower()
    return [{"name": name, **value} for name, value in table.items() if search in name.lower()]


# -- what happens ------------------------------------------------------------------------------------------------------


def _status(daemon: "Answering", given: "Data", reply: "Reply") -> "Data":
    """What happens: see docs/status.md."""
    return status.report(daemon, PAGE_BYTES)


def _actions(daemon: "Answering", given: "Data", reply: "Reply") -> "Data":
    """The actions of the active policy, in the order in which they are tried."""
    offset, limit = _window(given, MAX_LIMIT)
    rows = status.actions(daemon, daemon.registry.table.tally())
    return page("actions", _matching(rows, given.get("search", "")), offset, limit)


def _targets(daemon: "Answering", given: "Data", reply: "Reply") -> "Data":
    """The targets, with what became of their elements."""
    offset, limit = _window(given, MAX_LIMIT)
    rows = status.targets(daemon, daemon.registry.table.tally())
    return page("targets", _matching(rows, given.get("search", "")), offset, limit)


def _elements(daemon: "Answering", given: "Data", reply: "Reply") -> None:
    """The elements that the daemon holds in a target's sets, or in all: as text, with the seconds they have left."""
    # What waits for a set that is not there is in no set.
    slots = [slot for slot in slots_of(daemon, given.get("target", "")) if slot.present]
    offset, limit = _window(given, 100)
    daemon.work(_listing(slots, given.get("search", "").lower(), offset, limit, daemon.now()), reply)


def _element(slot: "Any", text: str, key: bytes, now: int) -> "Data":
    deadline = slot.expires(key)
    found = {
        "target": slot.counters.name,
        "set": slot.data["set"],
        "table": slot.data["table"],
        "element": text,
        "left": max(0, deadline - now) if deadline else None,
    }
    if hasattr(slot, "facts"):
        found.update(slot.facts(key))
    return found


def _listing(slots: "list[Any]", search: str, offset: int, limit: int, now: int) -> "Work":
    """List elements, those with a text in them: a generator that gives back the loop after each slice. Returns the answer.

    They are sorted, set by set: in the order of the table, which a refresh changes, a reader of several pages would see some
    twice and others never.
    """
    total = found = size = 0
    listed: list[Any] = []
    for slot in slots:
        text_of = reader(slot.data)
        keys = list(slot.live)
        total += len(keys)
        mine: list[bytes] = []
        for start in range(0, len(keys), SLICE):
            part = keys[start : start + SLICE]
            if search:
                part = [key for key in part if search in text_of(key)]
            found += len(part)
            mine = sorted(mine + part)[: max(0, offset + limit - len(listed))]
            yield
        listed += [(slot, text_of, key) for key in mine]
    taken: list[Data] = []
    more = offset + limit < found
    for slot, text_of, key in listed[offset:]:
        if key not in slot.live:
            continue  # it went, or its set did, while others were looked at
        if hasattr(slot, "facts") and len(taken) % ASKED == ASKED - 1:
            yield
        element = _element(slot, text_of(key), key, now)
        size += len(element["element"]) + len(element["target"]) + len(element["set"]) + len(element["table"]) + 100
        if size > PAGE_BYTES and taken:
            more = True
            break
        taken.append(element)
    return {"elements": taken, "offset": offset, "total": total, "found": found, "more": more}


def _matches(daemon: "Answering", given: "Data", reply: "Reply") -> "Data":
    """The last decisions, newest first: when, which flow, which actions, which targets."""
    _, limit = _window(given, 50)
    recent = list(daemon.engine.recent)
    now = daemon.now()
    policy = daemon.engine.policy
    made = page("matches", [match_of(item, now, policy) for item in recent[::-1][:limit]], 0, limit)
    return {"matches": made["matches"], "total": len(recent), "more": len(made["matches"]) < len(recent)}


def match_of(item: "tuple[Any, ...]", now: int, policy: "Policy | None") -> "Data":
    """Return a decision of `Engine.recent` as plain data. `policy`: the active one, which knows the devices."""
    second, names, reached, kept = item
    record = _record_of(kept)
    flow = kept if isinstance(kept, dict) else brief(record) if record else {}
    made: Data = {"time": status.wall(second, now), "flow": flow, "actions": list(names), "targets": list(reached)}
    if policy is not None and policy.devices is not None:
        for end in ("local", "other"):
            made[end + "_device"] = ", ".join(policy.device_names(record["flow"] if record else flow, end))
    return made


def _record_of(kept: "bytes | Data") -> "Data | None":
    """Return the record of a decision, None where it is not kept whole.

    A record that was read at a depth of calls that just sufficed cannot be read here, a few calls deeper.
    """
    try:
        return None if isinstance(kept, dict) else read(kept)[1]
    except BadRecord:
        return None


def _devices(daemon: "Answering", given: "Data", reply: "Reply") -> None:
    """The devices of the configuration, and others in the local network: addresses, and where they are known from."""
    offset, limit = _window(given, MAX_LIMIT)
    daemon.work(_listing_of_devices(daemon.learner_now(), given.get("search", "").lower(), offset, limit), reply)


def _listing_of_devices(learner: "Learner", search: str, offset: int, limit: int) -> "Work":
    """List devices, those with a text in them, as soon as the kernel has told its neighbours. Returns the answer."""
    from ..devices.listing import rows  # hardly anybody asks

    while not learner.complete:
        yield
    found = []
    for number, row in enumerate(rows(learner.devices, learner.known)):
        if number % ROWS == 0:
            yield
        if not search or search in json.dumps(row).lower():
            found.append(row)
    return page("devices", found, offset, limit)


# -- names -------------------------------------------------------------------------------------------------------------


def _names(kind: str) -> "Method":
    """Return the method that lists what a policy may name: of the agent's files, and what the running agent announced."""

    def method(daemon: "Answering", given: "Data", reply: "Reply") -> "Data":
        offset, limit = _window(given, MAX_LIMIT)
        search = given.get("search", "").lower()
        rows = [row for row in daemon.loader.names(kind) if search in row["name"]]
        return page(kind, rows, offset, limit)

    return method


# -- what a child answers ----------------------------------------------------------------------------------------------


def _explain(daemon: "Answering", given: "Data", reply: "Reply") -> None:
    """Why a flow matches or does not, by the configuration as it is now: of a digest among the last decisions, or a record."""
    flow = given.get("flow")
    if isinstance(flow, str):
        flow = _recent_record(daemon, flow)
    if not isinstance(flow, dict):
        raise Refused(INVALID_ARGUMENT, "'flow' must be the digest of a recent decision (see matches), or a flow record")
    record, twice = _oriented(daemon, flow)
    daemon.loader.ask("explain", {"flow": record, "twice": twice, "devices": _devices_of(daemon, record)}, reply)


def _devices_of(daemon: "Answering", given: "Data") -> dict[str, list[str]]:
    """Return the devices that the addresses of a record (or of its part `flow`) are known to belong to, by name."""
    policy = daemon.engine.policy
    flow = given.get("flow", given)
    if policy is None or policy.devices is None or not isinstance(flow, dict):
        return {}
    return {str(flow.get(end + "_ip")): policy.device_names(flow, end) for end in ("local", "other")}


def _oriented(daemon: "Answering", given: "Data") -> "tuple[Data, bool]":
    """Return a record as the daemon has it, by the networks that are ours, and whether another interface reports its flow, too.

    One that is none is for the child to refuse.
    """
    whole = isinstance(given.get("flow"), dict)
    record = {"type": "flow", "interface": "", "internal": True, "flow": given} if not whole else given
    try:
        copy = classify(json.loads(json.dumps({"type": "flow", **record})))[1]
        return copy, bool(daemon.engine.networks.again(copy, copy["flow"]) & TWICE)
    except (BadRecord,) + MALFORMED:
        return given, False


def _recent_record(daemon: "Answering", digest: str) -> "Data":
    """Return the last record with a digest (or its beginning) of the last decisions. Raises Refused."""
    wanted = digest.strip().lower()
    if len(wanted) < 4:
        raise Refused(INVALID_ARGUMENT, "'flow' must be at least 4 characters of a digest")
    for *_, kept in list(daemon.engine.recent)[::-1]:
        record = _record_of(kept)
        known: Data = record["flow"] if record else kept if isinstance(kept, dict) else {}
        if known.get("digest", "").startswith(wanted):
            if record is None:
                raise Refused(NOT_FOUND, "the record of this flow was too long to be remembered; pass the record itself")
            found: Data = record
            return found
    count = str(len(daemon.engine.recent))
    raise Refused(NOT_FOUND, "no such flow among the last " + count + " decisions; pass the flow record itself")


def _check(daemon: "Answering", given: "Data", reply: "Reply") -> None:
    """What is wrong with criteria, exemptions or a configuration, before they are saved; without any: with the files."""
    if len(given) > 1:
        raise Refused(INVALID_ARGUMENT, "only one of 'criteria', 'exemptions' and 'config' can be checked at a time")
    for name in ("criteria", "exemptions"):
        value = given.get(name, [])
        if isinstance(value, dict) or (isinstance(value, list) and not all(isinstance(item, str) for item in value)):
            raise Refused(INVALID_ARGUMENT, "'" + name + "' must be a string or an array of strings")
    if isinstance(given.get("config"), list):
        raise Refused(INVALID_ARGUMENT, "'config' must be an object, or a string with the text of a configuration, JSON or UCI")
    daemon.loader.ask("check", given, reply)


def _routes(daemon: "Answering", given: "Data", reply: "Reply") -> None:
    """What /etc/config/network lacks for other WANs, as a configuration or the files want it."""
    daemon.loader.ask("routes", given, reply)


_PAGE = {"offset": "integer", "limit": "integer"}
_SEARCH = {"search": "string", **_PAGE}

METHODS: "dict[str, tuple[dict[str, str], Method]]" = {
    "status": ({}, _status),
    "actions": (_SEARCH, _actions),
    "targets": (_SEARCH, _targets),
    "elements": ({"target": "string", **_SEARCH}, _elements),
    "matches": ({"limit": "integer"}, _matches),
    "explain": ({"flow": "any"}, _explain),
    "check": ({"criteria": "any", "exemptions": "any", "config": "any"}, _check),
    "routes": ({"config": "string"}, _routes),
    "devices": (_SEARCH, _devices),
    "apps": (_SEARCH, _names("apps")),
    "protocols": (_SEARCH, _names("protocols")),
    "categories": (_SEARCH, _names("categories")),
    "usage": (
        {"since": "string", "until": "string", "device": "string", "app": "string", "by": "string", **_PAGE},
        counted.usage,
    ),
    "budget": ({"name": "string", "device": "string", **_PAGE}, limited.budget),
    "reload": ({}, changes.reload),
    "flush": ({"target": "string"}, changes.flush),
    "forget_usage": ({"device": "string"}, counted.forget),
    "add_budget": ({"name": "string", "device": "string", "seconds": "integer", "bytes": "integer"}, limited.add_budget),
    "adopt": ({"dry_run": "boolean"}, changes.adopt),
    "notice": ({"name": "string"}, changes.notice),
    "pause": ({"name": "string", "seconds": "integer"}, changes.pause),
    "resume": ({"name": "string"}, changes.resume),
}
"""Method to (argument to type, function). `any`: text or a structure."""
