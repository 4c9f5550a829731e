"""The resident daemon: its life cycle, and the loop that everything happens in.

    start -> compile (child) -> load the image -> connect to netifyd -> records in, effects out -> ... -> stop

In: settings from `nfa run`, signals, the stream, requests on the control socket. Out: elements in kernel sets, log files,
messages on standard error. One thread; nothing in the loop waits for anybody, but for the
write of a log file at the end of its interval. What MicroPython lacks (signals,
processes, file descriptors) is used here and nowhere below.
"""

import json
import os
import select
import signal
import sys
import time

from . import __version__, image
from .bus import status
from .bus.control import Control
from .engine.engine import Engine, Policy
from .files import write_whole
from .stream.client import Client
from .targets.kernel import Sets
from .targets.registry import Registry

RETRY = 30.0
"""Seconds until a compiler that failed (no memory, say) is started again while no policy is in force."""
COMPILE_LIMIT = 300
"""Seconds a compilation may take before it is given up."""
SHOWN_REPORTS = 50


_log = select.poll()
_log.register(2, select.POLLOUT)


def say(level: str, text: str) -> None:
    """Write one line to the log (standard error). Names from the network are escaped, so a line stays a line.

    A reader that does not read costs lines, not time: a pipe that is ready takes 4,096 bytes without waiting.
    """
    line = "".join([c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:1000]])
    try:
        if _log.poll(0):
            os.write(2, ("nfa: " + level + ": " + line + "\n").encode("utf-8", "backslashreplace")[:4000])
    except OSError:
        pass


class Daemon:
    """Everything that lives as long as the process. `settings`: source, files, state, control, verbose."""

    def __init__(self, settings: dict[str, object]) -> None:
        self.settings = settings
        self.started = time.monotonic()
        self.client = Client(str(settings["source"]))
        self.registry = Registry(Sets(say), write_whole, say)
        self.engine = Engine(self.registry.refresh)
        self.control = Control(str(settings["control"]), self.request)
        self.poll = select.poll()
        self.running = True
        self.policy_info: dict[str, object] = {
            "generation": 0,
            "loaded_at": None,
            "files": settings["files"],
            "errors": 0,
            "warnings": 0,
            "reports": [],
        }
        self._reload = True
        self._compiler = 0
        self._compiler_pipe = -1
        self._compiler_started = 0.0
        self._compiler_output: list[bytes] = []
        self._attempted = False
        self._retry_at = 0.0
        self._polled = -1
        self._watched: tuple[str, int, int] = ("waiting", 0, 0)
        self._told = ""
        if settings.get("verbose"):
            self.engine.trace = self.trace  # type: ignore[assignment]

    # -- life cycle -------------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Run until a signal ends it. Returns the exit code."""
        problem = self.control.open(self.poll)
        if problem:
            say("error", problem)
            return 1
        wake, alarm = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(alarm, False)
        signal.set_wakeup_fd(alarm, warn_on_full_buffer=False)
        for number, handler in ((signal.SIGTERM, self.on_stop), (signal.SIGINT, self.on_stop), (signal.SIGHUP, self.on_hup)):
            signal.signal(number, handler)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        self.poll.register(wake, select.POLLIN)
        say("notice", "version " + __version__ + " started, source " + self.client.uri)
        try:
            self.loop(wake)
        finally:
            self.stop()
        return 0

    def on_stop(self, number: int, frame: object) -> None:
        self.running = False

    def on_hup(self, number: int, frame: object) -> None:
        self._reload = True

    def stop(self) -> None:
        """End: nothing new comes in, what is pending goes out, flush_on_destroy is honoured."""
        self.client.close()
        if self._compiler:
            os.kill(self._compiler, signal.SIGKILL)
            os.waitpid(self._compiler, 0)
        self.registry.flush(self.now())
        self.registry.shut_down()
        self.control.close()
        say("notice", "stopped")

    # -- the loop ---------------------------------------------------------------------------------------------------

    def now(self) -> int:
        """Return the loop's clock in whole seconds, never 0."""
        return int(time.monotonic()) + 1

    def loop(self, wake: int) -> None:
        tick = 0
        while self.running:
            if self._reload and not self._compiler:
                self._reload = False
                self.compile()
            events = self.poll.poll(self.patience())
            moment = time.monotonic()
            now = int(moment) + 1
            for descriptor, event in events:
                if descriptor == self._polled:
                    self.engine.take(self.client.ready(moment), now)
                    self.watch_client()  # before its descriptor, if it was closed, is given to somebody else
                elif descriptor == wake:
                    os.read(wake, 4096)
                elif descriptor == self._compiler_pipe:
                    self.compiled(now)
                else:
                    self.control.ready(descriptor, event)
            if self._attempted and self.client.deadline and moment >= self.client.deadline:
                self.client.timeout(moment)
            self.watch_client()
            self.registry.flush(now)
            if now != tick:
                tick = now
                self.engine.tick(now)
                self.registry.tick(now)
                self.watch_compiler(moment)

    def patience(self) -> int:
        """Return how long the loop may sleep, in milliseconds: to the next second, or to the client's deadline."""
        moment = time.monotonic()
        wait = 1.0 - moment % 1.0
        if self._attempted and self.client.deadline:
            wait = min(wait, self.client.deadline - moment)
        return max(0, int(wait * 1000) + 1)

    def watch_client(self) -> None:
        """Poll the socket that the client has now, for what it waits for, and tell of changes."""
        client = self.client
        state = client.state, client.connects, client.failures
        if state == self._watched:
            return
        self._watched = state
        descriptor = client.socket.fileno() if client.socket else -1
        if self._polled not in (-1, descriptor):
            self.poll.unregister(self._polled)
        if descriptor >= 0:
            self.poll.register(descriptor, select.POLLOUT if client.state == "connecting" else select.POLLIN)
        self._polled = descriptor
        if client.state == "connected":
            self._told = ""
            say("notice", "connected to " + client.uri)
        elif client.state == "waiting" and self._told != client.last_error:
            self._told = client.last_error
            say("warning", "no connection to " + client.uri + ": " + client.last_error + "; trying again")

    # -- the policy -------------------------------------------------------------------------------------------------

    def compile(self) -> None:
        """Start the compiler: a child that reads the configuration, writes an image to a pipe, and exits."""
        try:
            source, sink = os.pipe()
        except OSError as failure:
            self.not_loaded("cannot start the compiler: " + str(failure))
            self.begin_stream()
            return
        os.set_blocking(source, False)
        program = f"import sys; sys.path.insert(0, {image.ROOT!r}); from nfa.cli import main; sys.exit(main())"
        # -P: what lies in the current directory is not imported; the daemon may have been started in /tmp.
        arguments = [sys.executable, "-P", "-c", program, "compile", "--image-to-stdout"]
        for file in self.settings["files"]:  # type: ignore[attr-defined]
            arguments += ["-c", file]
        if self.settings.get("state"):
            arguments += ["--state-dir", str(self.settings["state"])]
        actions = [(os.POSIX_SPAWN_DUP2, sink, 1), (os.POSIX_SPAWN_CLOSE, source), (os.POSIX_SPAWN_CLOSE, sink)]
        try:
            self._compiler = os.posix_spawn(sys.executable, arguments, os.environ, file_actions=actions)
        except OSError as failure:
            os.close(source)
            self.not_loaded("cannot start the compiler: " + str(failure))
            self.begin_stream()
        else:
            self._compiler_pipe = source
            self._compiler_output = []
            self._compiler_started = time.monotonic()
            self.poll.register(source, select.POLLIN)
        os.close(sink)

    def compiled(self, now: int) -> None:
        """The compiler wrote something, or is done."""
        try:
            chunk = os.read(self._compiler_pipe, 1 << 20)
        except BlockingIOError:
            return
        if chunk and sum(map(len, self._compiler_output)) <= image.MAX_SIZE:
            self._compiler_output.append(chunk)
            return
        raw = b"".join(self._compiler_output)
        self.end_compiler()
        try:
            if not raw:
                raise image.ImageError("it ended without a policy image; what it said stands above")
            self.take_image(raw, now)
        except image.ImageError as failure:
            self.not_loaded("the compiler failed: " + str(failure))
        self.begin_stream()

    def begin_stream(self) -> None:
        """After the first attempt at a policy: before it, records would pass by unseen."""
        if not self._attempted:
            self._attempted = True
            self.client.start(time.monotonic())

    def end_compiler(self) -> None:
        """Forget the child; its exit status says nothing that its output does not."""
        self.poll.unregister(self._compiler_pipe)
        os.close(self._compiler_pipe)
        self._compiler_pipe = -1
        self._compiler_output = []
        os.kill(self._compiler, signal.SIGKILL)
        os.waitpid(self._compiler, 0)
        self._compiler = 0

    def watch_compiler(self, moment: float) -> None:
        """Give up a compilation that does not end; try one again that could not be, as long as there is no policy."""
        if self._retry_at and moment >= self._retry_at and not self.policy_info["generation"]:
            self._retry_at = 0.0
            self._reload = True
        if self._compiler and moment - self._compiler_started > COMPILE_LIMIT:
            self.end_compiler()
            self.not_loaded("the compiler did not end within " + str(COMPILE_LIMIT) + " seconds")
            self.begin_stream()

    def not_loaded(self, why: str) -> None:
        self.policy_info["errors"] = 1
        self.policy_info["reports"] = [why]
        held = self.policy_info["generation"]
        self._retry_at = time.monotonic() + RETRY
        say("error", why + ("; the running policy stays in force" if held else "; no policy is in force"))

    def take_image(self, raw: bytes, now: int) -> None:
        """Load an image whole, or leave everything as it is. Raises ImageError."""
        data = image.load(raw)
        reports: list[str] = data["reports"]  # type: ignore[assignment]
        for text in reports[:SHOWN_REPORTS]:
            for line in text.split("\n"):
                say("config", line)
        if len(reports) > SHOWN_REPORTS:
            say("config", str(len(reports) - SHOWN_REPORTS) + " more; see: nfa check")
        info = self.policy_info
        info["errors"], info["warnings"], info["reports"] = data["errors"], data["warnings"], reports[:SHOWN_REPORTS]
        if data.get("failed"):
            held = info["generation"]
            say("error", "the configuration is not used" + ("; the running policy stays in force" if held else ""))
            return
        numbers = self.registry.number_slots(data)
        policy = Policy(data, image.code_of(data["code"]), {}, numbers)  # type: ignore[arg-type]
        unused = self.registry.replace(data, numbers, policy.key_functions, now)
        policy.targets = self.registry.targets
        if self.engine.policy is not None:
            policy.keep_counts_of(self.engine.policy)
        self.engine.policy = policy
        self.registry.close(unused)
        info["generation"] = int(info["generation"]) + 1  # type: ignore[call-overload]
        info["loaded_at"] = int(time.time())
        active = [action for action in policy.actions if not action[2]]
        say("notice", "policy in force: " + str(len(active)) + " of " + str(len(policy.actions)) + " actions active")

    # -- answers ----------------------------------------------------------------------------------------------------

    def request(self, method: str, arguments: dict) -> dict:
        """Answer one request of the control socket."""
        answer = {"status": self.status, "reload": self.reload, "names": self.names}.get(method)
        return {"error": "no such method: " + method[:64]} if answer is None else {"result": answer(arguments)}

    def status(self, arguments: dict) -> dict:
        """What happens: see docs/status.md."""
        return status.report(self)

    def names(self, arguments: dict) -> dict:
        """The names that the connected agent announced: id to tag of applications (protocols among them) and protocols."""
        applications, protocols = json.loads(self.engine.names)
        return {"applications": applications, "protocols": protocols}

    def reload(self, arguments: dict) -> dict:
        """Compile the configuration anew, as SIGHUP does."""
        self._reload = True
        return {"reloading": True}

    def trace(self, record: dict, actions: tuple[int, ...]) -> None:
        """Tell of a match (option -v)."""
        flow = record["flow"]
        names = [self.engine.policy.actions[number][0] for number in actions]  # type: ignore[union-attr]
        ends = "%s:%s > %s:%s" % (  # noqa: UP031
            flow["local_ip"],
            flow.get("local_port", 0),
            flow["other_ip"],
            flow.get("other_port", 0),
        )
        what = flow.get("detected_application_name", "") + " " + flow.get("detected_protocol_name", "")
        say("match", ends + " " + what + ": " + ", ".join(names))


def main() -> int:
    """Run with the settings that `nfa run` passes as JSON."""
    return Daemon(json.loads(sys.argv[1])).run()
