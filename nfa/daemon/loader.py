"""Loads policies: a child compiles the configuration; its image loads atomically, or the running policy stays active.

In: requests to reload, and the compiler's image. Out: the engine's policy and the registry's targets, the source and log
level that the configuration names; `info` for status. Questions that need the compiler go to a child as well.
"""

import time

from ..image import cpython as image
from .base import json
from .base.dispatcher import NEVER
from .base.findings import Found, finding
from .bus.calls import Refused
from .bus.status import no_policy
from .bus.ubus import INVALID_ARGUMENT, OK, UNKNOWN_ERROR
from .engine.policy import Policy
from .processes.child import Job
from .watching import Watched

MYPY = False
if MYPY:
    from collections.abc import Callable, Iterable
    from typing import Any, Protocol

    from .base.dispatcher import Dispatcher
    from .base.messages import Log
    from .bus.news import News
    from .engine.engine import Engine
    from .pauses import Pauses
    from .processes.child import Children
    from .stream.client import Client
    from .targets.prepared import Prepared
    from .targets.registry import Registry
    from .targets.sets.healing import Healing

    Reply = Callable[[int, dict[str, Any] | None], object]
    Image = dict[str, Any]

    class Host(Protocol):
        """What a policy is loaded into (see `nfa.daemon.daemon.Daemon`)."""

        settings: dict[str, Any]
        log: Log
        dispatcher: Dispatcher
        client: Client
        engine: Engine
        registry: Registry
        healing: Healing
        pauses: Pauses
        children: Children
        news: News

        def now(self) -> int: ...
        def log_level(self, name: str) -> None: ...
        def activated(self, policy: Policy) -> None: ...
        def use_routes(self, wans: list[dict[str, Any]]) -> None: ...
        def take_over(self) -> None: ...
        def begin_again(self, ended: Iterable[str], begins: bool = True) -> None: ...
        def use_source(self, uri: str) -> None: ...
        def no_source(self, uri: str) -> None: ...


RETRY = 30.0
"""Seconds until the compiler is started again when it ended without an image, or the source's name had no address."""
COMPILE_LIMIT = 300
"""Seconds a compilation may take before it is given up."""
SLOW = 20.0
"""Seconds of a compilation after which that is reported, and questions, which wait for its end, are refused."""
ANSWER_LIMIT = 20
"""Seconds a child may take for the answer to a call: those who ask give up after 30."""
MAX_QUESTION = 256 << 10
"""Bytes of a question: some of them may wait in memory."""
MAX_ASKED = 32
"""Callers of `reload` that wait for its outcome."""
MAX_ANSWER = 512 << 10
"""Bytes of such an answer: with ubus's own form around it, below the 1 MiB of one message."""
SHOWN_REPORTS = 50

NOT_REMEMBERED = "this policy does not reach connections yet that began before this reload: "
NO_USE = "the one before had no use for their records"
NO_ROOM = " of their records were not kept, for lack of room"
LATER = ". It reaches them when netifyd next reports such a flow, or when the connection is opened again"


def _loaded(data: "Image") -> bool:
    """Return whether an image holds a policy."""
    return not data.get("failed")


class Loader:
    """Loads policies into a daemon, whose settings say where the configuration is."""

    def __init__(self, daemon: "Host") -> None:
        self._daemon = daemon
        self.info = no_policy(daemon.settings["files"])
        """What `status` tells of the policy."""
        self.wanted = True
        """The configuration is to be compiled."""
        self.adopts = False
        """Connections that began before are to begin again when netifyd is first connected to."""
        self._asked: list[Reply] = []
        """Who waits for the outcome of the next compilation; `_waiting`: of the present one."""
        self._waiting: list[Reply] = []
        self._started = False
        """The stream was begun: only after the first compilation, because records would pass by unseen before."""
        self._names = b"{}"
        """What a policy may name, as JSON: `apps`, `protocols` and `categories`, each a list of rows."""
        self._last_good = b""
        """The last good version of each section of the policy, for the next compilation: see `nfa.compiler.config.lastgood`."""
        self._found = Found(SHOWN_REPORTS)
        self._watched = Watched(daemon.dispatcher, self._changed)
        self._began = 0.0
        """When the present compilation began, monotonic seconds; 0.0: there is none."""
        at = daemon.dispatcher.at
        self._retry = at(NEVER, self._try_again)
        self._slow = at(NEVER, self._tell_slow)

    def reload(self, reply: "Reply") -> None:
        """Compile the configuration again, and reply with the result once there is one."""
        self.wanted = True
        if len(self._asked) >= MAX_ASKED:
            raise Refused(UNKNOWN_ERROR, "a reload is already queued; too many callers wait for its result")
        self._asked.append(reply)

    def begin(self) -> None:
        """Start the compiler if that is wanted: it reads the configuration, writes an image to a pipe, and exits."""
        if not self.wanted or self._began:
            return
        self.wanted = False
        self._watched.forget()  # the compiler tells what it reads
        self._retry.move(NEVER)
        self._waiting += self._asked
        self._asked = []
        arguments = ["compile", "--image-to-stdout", "--last-good", *self._config_arguments()]
        if not self.info["generation"]:
            # There is no policy that could stay active despite a broken file: its sets and status are better than nothing.
            arguments.append("--salvage")
        if self._daemon.settings["source"]:
            arguments += ["-s", self._daemon.settings["source"]]
        self._began = time.monotonic()
        self.info["compiling"] = int(time.time())
        self._slow.move(self._began + SLOW)
        try:
            job = Job("the compiler", "nfa.cli", arguments, self._last_good, COMPILE_LIMIT, image.MAX_SIZE, self.compiled)
            self._daemon.children.add(job, first=True)
        except Exception:
            self._ended()
            self._retry.move(time.monotonic() + 1.0)
            raise

    def _config_arguments(self) -> list[str]:
        """Return the options that name the configuration, for a child."""
        settings = self._daemon.settings
        arguments = []
        for file in settings["files"]:
            arguments += ["-c", file]
        if settings.get("uci_required"):
            arguments += ["-u", settings["uci"]]
        elif settings.get("uci") == "":
            arguments.append("--no-uci")
        if settings.get("state"):
            arguments += ["--state-dir", settings["state"]]
        return arguments

    def _try_again(self) -> None:
        self.wanted = True

    def _tell_slow(self) -> None:
        """The compiler takes long, or hangs."""
        given_up = str(COMPILE_LIMIT) + " seconds"
        self._daemon.log.say(
            "warning", "the compiler has been running for " + str(int(SLOW)) + " seconds; it is stopped after " + given_up
        )

    def _changed(self, path: str) -> None:
        """A file that the policy was made from is another one now."""
        self._daemon.log.say("notice", path + " has changed")
        self.wanted = True

    # -- the image --------------------------------------------------------------------------------------------------

    def compiled(self, raw: bytes, problem: str) -> None:
        """The compiler ended. Activate its image; answer those who asked, and send an event."""
        self._ended()
        before = self.info["generation"]
        try:
            self._use(raw, problem)
        except Exception as failure:
            self._not_loaded(self._daemon.dispatcher.fault("loading the policy", failure), "the new policy could not be loaded")
        outcome = {name: self.info[name] for name in ("generation", "errors", "warnings")}
        outcome["loaded"] = self.info["generation"] != before
        guard = self._daemon.dispatcher.guard
        guard(self._daemon.news.tell, "reload", outcome)
        waiting, self._waiting = self._waiting, []
        for reply in waiting:
            guard(reply, OK, {**outcome, "reports": self.info["reports"]})

    def _ended(self) -> None:
        """No compilation is under way."""
        self._began = 0.0
        self._slow.move(NEVER)
        self.info["compiling"] = None

    def _use(self, raw: bytes, problem: str) -> None:
        """Activate what the compiler wrote, and read from the source that it names."""
        if not problem:
            try:
                data = image.load(raw)
            except image.ImageError as failure:
                problem = str(failure)
        if problem:
            self._not_loaded(problem)
            return
        self.take(data, self._daemon.now())
        if _loaded(data) or not self._started:
            self._use_source(str(data["source"]), str(data["source_name"]))

    def _not_loaded(self, why: str, said: str = "") -> None:
        """There is no image at all, or it could not be activated. `said`: for the log, where that has `why` already."""
        self.info["errors"] = 1
        self.info["reports"] = [finding("error", "compiler-failed", why)]
        self.info["failed_at"] = int(time.time())
        held = self.info["generation"]
        self._retry.move(time.monotonic() + RETRY)
        after = "; the running policy stays active" if held else "; no policy is active"
        self._daemon.log.say("error", (said or why) + after)

    def take(self, data: "Image", now: int) -> None:
        """Activate an image's policy. If the compilation failed, or this fails, the running policy stays active."""
        daemon = self._daemon
        daemon.dispatcher.insist(self._tell_reports, data)
        if not _loaded(data):
            held = self.info["generation"]
            self.info["failed_at"] = int(time.time())
            daemon.log.say(
                "error",
                "the configuration cannot be used" + ("; the running policy stays active" if held else "; no policy is active"),
            )
            return
        causes = {target["name"]: target["cause"] for target in daemon.registry.described}
        try:
            policy, made = self._build(data)
            unused = daemon.registry.adopt(made, now)
        except Exception as failure:
            self._not_loaded(daemon.dispatcher.fault("loading the policy", failure), "the new policy could not be loaded")
            return
        old, daemon.engine.policy = daemon.engine.policy, policy
        daemon.engine.flows.most = data["max_flows"]
        self.adopts = data["adopt"]
        daemon.engine.count = daemon.registry.count if daemon.registry.logs else None
        self._names = data["names"]
        self._last_good = data["last_good"]
        self.info["last_good"] = data["kept"]
        self.info["files"] = data["files"]
        self.info["generation"] += 1
        self.info["loaded_at"] = int(time.time())
        self.info["failed_at"] = None
        # What that brings about is guarded, so that a fault in one part keeps none of the others from being done.
        insist = daemon.dispatcher.insist
        if not daemon.settings.get("verbose"):
            insist(daemon.log_level, data["log_level"])
        insist(daemon.registry.table.update, policy)
        insist(daemon.healing.watch)
        insist(self._succeed, policy, old, causes)
        self.info.update(self._found.joined())
        insist(daemon.registry.retire, unused)
        insist(daemon.use_routes, data["routes"])
        insist(self._tell_active, policy)

    def _build(self, data: "Image") -> "tuple[Policy, Prepared]":
        """Build all of a policy, beside the running one. May raise."""
        registry = self._daemon.registry
        numbers = registry.number_slots(data)
        policy = Policy(data, image.code_of(data["code"]), {}, numbers)
        made = registry.prepare(data, numbers, policy.key_functions)
        policy.targets = made.targets
        policy.keep_hours(int(time.time()))
        policy.pause(self._daemon.pauses.names())
        return policy, made

    def _succeed(self, policy: Policy, old: Policy | None, causes: "dict[str, bytes]") -> None:
        """Go on from where the old policy ends. `causes`: of its targets."""
        daemon = self._daemon
        engine = daemon.engine
        daemon.activated(policy)
        if not policy.keeps:
            engine.kept.clear()
            self._found.own.clear()
        if old is None:
            daemon.take_over()
            return
        policy.succeed(old)
        turned = policy.turned(old)
        if policy.decides == old.decides and not turned:
            return
        self._found.own.clear()
        ended = policy.ended(turned)
        for target in daemon.registry.described:
            if causes.get(target["name"], target["cause"]) != target["cause"]:
                ended.add(target["name"])
        # An edge that falls on a reload is an edge all the same.
        begins = policy.reprocess is not False or bool(turned)
        if begins and engine.evaluated and not old.keeps:
            self._warn("flows-not-remembered", NOT_REMEMBERED + NO_USE + LATER)
        elif begins and engine.kept.lately_dropped:
            self._warn("flows-not-remembered", NOT_REMEMBERED + str(engine.kept.lately_dropped) + NO_ROOM + LATER)
        daemon.begin_again(ended, begins)

    def _tell_active(self, policy: Policy) -> None:
        active = [action for action in policy.actions if not action[2]]
        count = str(len(active)) + " of " + str(len(policy.actions))
        self._daemon.log.say("notice", "policy loaded: " + count + " actions active")

    def _tell_reports(self, data: "Image") -> None:
        """Report the compiler's findings."""
        for level, text in self._found.take(data):
            self._daemon.log.say(level, text)
        self.info.update(self._found.joined(not _loaded(data)))
        self._watched.use(data["watch"])
        self.info["watched"] = self._watched.files

    def report(self, code: str, message: str, hint: str) -> None:
        """Report something of the active policy, or with the message "" that it is no longer so. What is new is logged."""
        before = self._found.own.pop(code, None)
        if message:
            self._found.own[code] = finding("warning", code, message, hint)
            if before is None or before["message"] != message:
                self._daemon.log.say("warning", message + ("; " + hint if hint else ""))
        self.info.update(self._found.joined())

    def _warn(self, code: str, text: str) -> None:
        """Report what only the daemon can know of a policy, along with the compiler's warnings."""
        self._daemon.log.say("warning", text)
        self._found.own[code] = finding("warning", code, text)

    def _use_source(self, uri: str, name: str) -> None:
        """Read from where the configuration (or the command line) says: `uri`, "" when the host of `name` has no address now.

        A source that is connected stays until there is another.
        """
        if not uri:
            self._retry.move(time.monotonic() + RETRY)
            if self._daemon.client.state != "connected":
                self._started = False
                self._daemon.no_source(name)
        elif uri != self._daemon.client.uri or not self._started:
            self._started = True
            self._daemon.use_source(uri)

    # -- questions --------------------------------------------------------------------------------------------------

    def ask(self, question: str, given: "dict[str, Any]", reply: "Reply") -> None:
        """Let a child answer, which has the compiler's means. Raises Refused when it could not come in time."""

        def done(output: bytes, problem: str) -> None:
            try:
                answer = {} if problem else json.loads(output)
            except ValueError:
                problem = name + " was stopped before its answer was complete"
            if problem or "refused" in answer:
                status = UNKNOWN_ERROR if problem else INVALID_ARGUMENT
                reply(status, {"error": problem or answer["refused"]})
            else:
                reply(OK, answer)

        name = "the child that answers '" + question + "'"
        arguments = [question, *self._config_arguments()]
        running = time.monotonic() - self._began
        if self._began and running >= SLOW:
            seconds = str(int(running)) + " seconds"
            raise Refused(UNKNOWN_ERROR, "the compiler has been running for " + seconds + "; try again when it has finished")
        encoded = json.dumps(given).encode() + b"\n"
        if len(encoded) > MAX_QUESTION:
            raise Refused(INVALID_ARGUMENT, "the request is longer than " + str(MAX_QUESTION) + " bytes")
        encoded += self._last_good
        job = Job(name, "nfa.cli.answer", arguments, encoded, ANSWER_LIMIT, MAX_ANSWER, done)
        if not self._daemon.children.add(job):
            raise Refused(UNKNOWN_ERROR, "too many requests at the same time; try again")

    def names(self, kind: str) -> "list[dict[str, Any]]":
        """Return rows of what a policy may name: those of the compiler, and what the connected agent announced besides."""
        rows: list[dict[str, Any]] = json.loads(self._names).get(kind, [])
        known = {row["name"] for row in rows}
        applications, protocols = json.loads(self._daemon.engine.names)
        # netifyd 4 lists its protocols among the applications, too; an application's tag has a dot.
        announced = {"apps": {n: tag for n, tag in applications.items() if "." in tag}, "protocols": protocols}.get(kind, {})
        for number, tag in announced.items():
            if tag.lower() not in known:
                rows.append({"name": tag.lower(), "id": int(number)})
        return rows
