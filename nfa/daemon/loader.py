"""How a policy comes into force: compiled by a child, loaded whole or not at all, its outcome told.

In: the wish for a reload, and the compiler's image. Out: the engine's policy and the registry's targets, the source and log
level that the configuration names; `info` for status. Questions that need the compiler go to a child as well.
"""

import json
import time

from ..image import cpython as image
from .base.findings import finding, log_line
from .base.messages import say
from .bus import methods
from .bus.ubus import INVALID_ARGUMENT, OK, UNKNOWN_ERROR
from .engine.policy import Policy
from .processes.child import Job

MYPY = False
if MYPY:
    from .base.findings import Finding

RETRY = 30.0
"""Seconds until the compiler is started again when it ended without an image, or the source's name had no address."""
COMPILE_LIMIT = 300
"""Seconds a compilation may take before it is given up."""
ANSWER_LIMIT = 20
"""Seconds a child may take for the answer to a call: those who ask give up after 30."""
MAX_QUESTION = 256 << 10
"""Bytes of a question: some of them may wait in memory."""
MAX_ASKED = 32
"""Callers of `reload` that wait for its outcome."""
MAX_ANSWER = 512 << 10
"""Bytes of such an answer: with ubus's own form around it, below the 1 MiB of one message."""
SHOWN_REPORTS = 50
WATCH_EVERY = 0.9
"""Seconds between two looks at the JSON files of the configuration."""

NOT_REMEMBERED = (
    "hours do not hold yet for connections that began before this reload: they are not known. "
    "They are stopped when netifyd next tells of them, or when they are made anew"
)


def _loaded(data: dict) -> bool:
    """Return whether an image holds a policy."""
    return not data.get("failed")


class Loader:
    """Loads policies into a daemon (see `nfa.daemon.daemon.Daemon`, whose settings say where the configuration is)."""

    def __init__(self, daemon) -> None:
        self._daemon = daemon
        self.info: dict = {
            "generation": 0,
            "loaded_at": None,
            "failed_at": None,
            "files": daemon.settings["files"],
            "errors": 0,
            "warnings": 0,
            "reports": [],
        }
        """What `status` tells of the policy."""
        self.wanted = True
        """The configuration is to be compiled."""
        self._compiling = False
        self._asked: list = []
        """Who waits for the outcome of the next compilation; `_waiting`: of the present one."""
        self._waiting: list = []
        self._retry_at = 0.0
        self._started = False
        """The stream was begun: only after the first compilation, because records would pass by unseen before."""
        self._names = b"{}"
        """What a policy may name, as JSON: `apps`, `protocols` and `categories`, each a list of rows."""
        self._watched: list = []
        """JSON files of the configuration: [path, stamp when it was read, stamp at the last look]."""
        self._watch_at = 0.0

    def reload(self, reply) -> None:
        """Compile the configuration anew, and tell the outcome when there is one."""
        self.wanted = True
        if len(self._asked) >= MAX_ASKED:
            raise methods.Refused(UNKNOWN_ERROR, "the configuration will be read again; too many wait for the outcome already")
        self._asked.append(reply)

    def begin(self) -> None:
        """Start the compiler if that is wanted: it reads the configuration, writes an image to a pipe, and exits."""
        if not self.wanted or self._compiling:
            return
        self.wanted = False
        self._compiling = True
        self._retry_at = 0.0
        self._waiting, self._asked = self._asked, []
        arguments = ["compile", "--image-to-stdout", *self._config_arguments()]
        if not self.info["generation"]:
            # There is no policy that a broken file could leave in force: what can be read is better than nothing.
            arguments.append("--salvage")
        if self._daemon.settings["source"]:
            arguments += ["-s", self._daemon.settings["source"]]
        job = Job("the compiler", "nfa.cli", arguments, b"", COMPILE_LIMIT, image.MAX_SIZE, self.compiled)
        self._daemon.children.add(job, first=True)

    def _config_arguments(self) -> list:
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

    def tick(self, moment: float) -> None:
        """What has to happen now and then: try again, see whether a JSON file has changed."""
        if self._retry_at and moment >= self._retry_at:
            self.wanted = True
        if moment >= self._watch_at:
            self._watch_at = moment + WATCH_EVERY
            self._watch_files()

    def _watch_files(self) -> None:
        """Reload when a JSON file of the configuration has changed, and has not gone on changing since the last look."""
        for watched in self._watched:
            path, read, last = watched
            stamp = image.stamp(path)
            if stamp != read and stamp == last:
                say("notice", path + " has changed")
                self._watched = []
                self.wanted = True
                return
            watched[2] = stamp

    # -- the image --------------------------------------------------------------------------------------------------

    def compiled(self, raw: bytes, problem: str) -> None:
        """The compiler ended. Put its image in force; tell those who asked, and those who listen."""
        self._compiling = False
        before = self.info["generation"]
        try:
            if problem:
                raise image.ImageError(problem)
            data = image.load(raw)
        except image.ImageError as failure:
            self._not_loaded(str(failure))
        else:
            self.take(data, self._daemon.now())
            if _loaded(data) or not self._started:
                self._use_source(str(data["source"]), str(data["source_name"]))
        outcome = {name: self.info[name] for name in ("generation", "errors", "warnings")}
        outcome["loaded"] = self.info["generation"] != before
        self._daemon.news.tell("reload", outcome)
        waiting, self._waiting = self._waiting, []
        for reply in waiting:
            reply(OK, {**outcome, "reports": self.info["reports"]})

    def _not_loaded(self, why: str) -> None:
        """There is no image at all."""
        self.info["errors"] = 1
        self.info["reports"] = [finding("error", "compiler-failed", why)]
        self.info["failed_at"] = int(time.time())
        held = self.info["generation"]
        self._retry_at = time.monotonic() + RETRY
        say("error", why + ("; the running policy stays in force" if held else "; no policy is in force"))

    def take(self, data: dict, now: int) -> None:
        """Put an image's policy in force, or leave everything as it is when the compilation failed."""
        daemon, info = self._daemon, self.info
        reports: list[Finding] = data["reports"]
        for found in reports[:SHOWN_REPORTS]:
            say(*log_line(found))
        if len(reports) > SHOWN_REPORTS:
            say("warning", "config: " + str(len(reports) - SHOWN_REPORTS) + " more; see: nfa check")
        info["errors"], info["warnings"] = data["errors"], data["warnings"]
        info["reports"] = reports[:SHOWN_REPORTS]
        self._watched = [[path, stamp, stamp] for path, stamp in data["watch"]]
        info["failed_at"] = None if _loaded(data) else int(time.time())
        if not _loaded(data):
            held = info["generation"]
            say("error", "the configuration is not used" + ("; the running policy stays in force" if held else ""))
            return
        if not daemon.settings.get("verbose"):
            daemon.log_level(data["log_level"])
        self._names = data["names"]
        numbers = daemon.registry.number_slots(data)
        policy = Policy(data, image.code_of(data["code"]), {}, numbers)
        unused = daemon.registry.replace(data, numbers, policy.key_functions, now)
        daemon.healing.watch()
        policy.targets = daemon.registry.targets
        policy.keep_hours(int(time.time()))
        again = policy.reprocess
        old = daemon.engine.policy
        if old is not None:
            # An edge that falls on a reload is an edge all the same.
            again = again or policy.hours_differ(old)
            if policy.keeps and not old.keeps and daemon.engine.evaluated:
                self._warn("hours-not-remembered", NOT_REMEMBERED)
            policy.succeed(old)
        daemon.engine.policy = policy
        daemon.engine.max_flows = data["max_flows"]
        if policy.keeps:
            from .base.packing import pack, unpack  # with zlib, whose memory belongs to those who need it

            daemon.engine.pack_with(pack, unpack)
        else:
            daemon.engine.kept.clear()
        daemon.registry.close(unused)
        if again:
            daemon.begin_again()
        info["files"] = data["files"]
        info["generation"] += 1
        info["loaded_at"] = int(time.time())
        active = [action for action in policy.actions if not action[2]]
        say("notice", "policy in force: " + str(len(active)) + " of " + str(len(policy.actions)) + " actions active")

    def _warn(self, code: str, text: str) -> None:
        """Tell what only the daemon can know of a policy, where the compiler's warnings are told."""
        say("warning", text)
        self.info["warnings"] += 1
        self.info["reports"] = [finding("warning", code, text), *self.info["reports"]][:SHOWN_REPORTS]

    def _use_source(self, uri: str, name: str) -> None:
        """Read from where the configuration (or the command line) says: `uri`, "" when the host of `name` has no address now.

        A source that is connected stays until there is another.
        """
        if not uri:
            self._retry_at = time.monotonic() + RETRY
            if self._daemon.client.state != "connected":
                self._started = False
                self._daemon.no_source(name)
        elif uri != self._daemon.client.uri or not self._started:
            self._started = True
            self._daemon.use_source(uri)

    # -- questions --------------------------------------------------------------------------------------------------

    def ask(self, question: str, given: dict, reply) -> None:
        """Let a child answer, which has the compiler's means. Raises Refused when too many are waiting."""

        def done(output: bytes, problem: str) -> None:
            try:
                answer = {} if problem else json.loads(output)
            except ValueError:
                problem = name + " was ended before its answer was complete"
            if problem or "refused" in answer:
                status = UNKNOWN_ERROR if problem else INVALID_ARGUMENT
                reply(status, {"error": problem or answer["refused"]})
            else:
                reply(OK, answer)

        name = "the child that answers '" + question + "'"
        arguments = [question, *self._config_arguments()]
        encoded = json.dumps(given).encode()
        if len(encoded) > MAX_QUESTION:
            raise methods.Refused(INVALID_ARGUMENT, "the question is over " + str(MAX_QUESTION) + " bytes")
        job = Job(name, "nfa.cli.answer", arguments, encoded, ANSWER_LIMIT, MAX_ANSWER, done)
        if not self._daemon.children.add(job):
            raise methods.Refused(UNKNOWN_ERROR, "too many questions at the same time; try again")

    def names(self, kind: str) -> list:
        """Return rows of what a policy may name: those of the compiler, and what the connected agent announced besides."""
        rows: list = json.loads(self._names).get(kind, [])
        known = {row["name"] for row in rows}
        applications, protocols = json.loads(self._daemon.engine.names)
        # netifyd 4 lists its protocols among the applications, too; an application's tag has a dot.
        announced = {"apps": {n: tag for n, tag in applications.items() if "." in tag}, "protocols": protocols}.get(kind, {})
        for number, tag in announced.items():
            if tag.lower() not in known:
                rows.append({"name": tag.lower(), "id": int(number)})
        return rows
