"""Methods about usage: who used what, and to have it forgotten.

In: words for a span of time, a device, an application. Out: the answer, made in slices of the loop's turns, and paged.
"""

from .calls import PAGE_BYTES, Refused
from .ubus import INVALID_ARGUMENT, NOT_FOUND, UNKNOWN_ERROR

MYPY = False
if MYPY:
    from typing import Any

    from ..usage.asking import Labels
    from .calls import Answering, Data, Reply

BY = ("", "hour", "day", "action")
MAX_LIMIT = 1000


def usage(daemon: "Answering", given: "Data", reply: "Reply") -> None:
    """What devices used, by device and application; or in all by hour, by day or by action."""
    used = _used(daemon)
    from ..usage import asking  # hardly anybody asks

    labels = _labels(daemon)
    now = int(used.now())
    offset, limit = given.get("offset", 0), given.get("limit", MAX_LIMIT)
    if offset < 0 or limit < 0:
        raise Refused(INVALID_ARGUMENT, "'offset' and 'limit' must not be negative")
    by = given.get("by", "")
    if by not in BY:
        raise Refused(INVALID_ARGUMENT, "'by' must be hour, day or action, not " + repr(by[:64]))
    span = []
    for name, text in (("since", given.get("since", "today")), ("until", given.get("until", "now"))):
        try:
            span.append(asking.moment_of(text, used.periods.zone, now))
        except ValueError:
            raise Refused(INVALID_ARGUMENT, "'" + name + "': " + repr(text[:64]) + "; expected " + asking.FORMS) from None
    since, until = span[0], min(span[1], now)
    if "until" not in given and given.get("since") == "yesterday":
        until = asking.moment_of("today", used.periods.zone, now)
    if since > until:
        raise Refused(INVALID_ARGUMENT, "'since' is later than 'until', or than now")
    since = max(since, used.periods.oldest(now))
    chosen: list[Any] = [None, None]
    for index, (name, find, known) in enumerate(
        (("device", labels.devices, labels.known_devices), ("app", labels.apps, labels.known_apps))
    ):
        text = given.get(name, "")
        if text:
            chosen[index] = find(text)
            if not chosen[index]:
                names = ", ".join(known()[:20]) or "none"
                raise Refused(NOT_FOUND, "nothing was counted of " + name + " " + repr(text[:128]) + "; known: " + names)
    if by == "action" and (chosen[0] is not None or chosen[1] is not None):
        raise Refused(INVALID_ARGUMENT, "actions are counted for all devices and applications together")
    limit = min(limit, MAX_LIMIT)
    daemon.work(
        asking.answer(used, labels, (since, max(since, until)), now, chosen[0], chosen[1], by, offset, limit, PAGE_BYTES), reply
    )


def forget(daemon: "Answering", given: "Data", reply: "Reply") -> None:
    """Forget what was counted of a device, or of all; also in the file."""
    used = _used(daemon)
    from ..usage import asking

    devices = None
    text = given.get("device", "")
    if text:
        labels = _labels(daemon)
        devices = labels.devices(text)
        if not devices:
            names = ", ".join(labels.known_devices()[:20]) or "none"
            raise Refused(NOT_FOUND, "nothing was counted of device " + repr(text[:128]) + "; known: " + names)
    daemon.work(asking.forget(used, devices), reply)


def _used(daemon: "Answering") -> "Any":
    """Return who counts. Raises Refused when nobody does."""
    if daemon.accounts is None:
        if daemon.engine.policy is None:
            raise Refused(UNKNOWN_ERROR, "no policy is active, so nothing is counted")
        raise Refused(UNKNOWN_ERROR, "usage is switched off; to have it counted: option usage '1'")
    return daemon.accounts


def _labels(daemon: "Answering") -> "Labels":
    """Return what devices and applications are called now."""
    from ..usage.asking import Labels

    categories: dict[str, str] = {}
    for kind in ("protocols", "apps"):
        for row in daemon.loader.names(kind):
            if "category" in row:
                categories[row["name"]] = row["category"]
    learner = daemon.learner_now()
    return Labels(daemon.accounts, learner.devices, learner.known, categories)  # type: ignore[arg-type]  # it counts
