"""A fault at each step of putting a policy loaded: the old one stays as it was in every table, or the new one works.

The steps are not listed: a run without a fault finds every function of nfa that is called, and each is then made to raise once.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from house import CONFIG, House, youtube

from nfa.compiler.assemble import image_of
from nfa.compiler.base.paths import Paths
from nfa.compiler.compile import compile_policy
from nfa.compiler.config.sources import Sources
from nfa.image import cpython as image

SINK = {"target_type": "sink", "sink": "sink-socket"}
HOURS = {"day": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "time_start": "00:00", "time_end": "23:59"}
OLD: dict[str, Any] = CONFIG | {
    "actions": {
        "video": {"criteria": ["app == 'youtube';"], "targets": ["nft.video", "ip.video", "log.video", "tell"]},
    },
    "targets": {
        "nft.video": {"target_type": "nftset", "set_name": "video", "managed": True, "type": ["other_addr", "other_port"]},
        "ip.video": {"target_type": "ipset", "set_name": "iv", "managed": True, "type": "hash:ip"},
        "log.video": {"target_type": "log", "path": "/tmp/nowhere/nfa"},
        "gone": {"target_type": "nftset", "set_name": "gone", "managed": True, "flush_on_destroy": True},
        "tell": SINK,
    },
}
OLD["actions"]["video"]["targets"].append("gone")
NEW: dict[str, Any] = json.loads(json.dumps(OLD))
NEW["actions"]["video"]["targets"] = ["nft.video", "ip.video", "log.video", "fresh", "tell"]
NEW["actions"]["late"] = {"criteria": ["app == 'youtube';"], "targets": ["fresh"], "time_of_day": HOURS}
NEW["targets"]["nft.video"]["ttl"] = 123
NEW["targets"]["log.video"]["path"] = "/tmp/nowhere/else"
NEW["targets"]["fresh"] = {"target_type": "nftset", "set_name": "fresh", "managed": True}
del NEW["targets"]["gone"]


ADDRESS = bytes([203, 0, 0, 2])
"""Of the second flow; elements of the ipset are of the local device."""


def sink_file(folder: Path, name: str) -> None:
    channels = {"flow-actions": {"bind_address": f"unix://{folder}/{name}.sock"}}
    (folder / "netify-sink-socket.json").write_text(json.dumps({"channels": channels}))


def compiled(folder: Path, config: object) -> bytes:
    """The image of a policy, as the compiler hands it over."""
    file = folder / "new.json"
    file.write_text(json.dumps(config))
    made, reports = compile_policy(Sources(None, False, (str(file),)), Paths(str(folder), str(folder)), look=False)
    assert made is not None, [report.text() for report in reports.items]
    return image.dump(image_of(made) | {"watch": [], "source": "unix:///nowhere", "source_name": ""})


class Site:
    """A house with the old policy, and the image of a new one."""

    def __init__(self, folder: Path, raw: bytes) -> None:
        sink_file(folder, "old")
        self.house = House(folder, OLD)
        self.daemon = self.house.daemon
        self.kernel = self.house.kernel
        self.daemon.registry.sets._ipset = self.kernel  # type: ignore[assignment]
        for slot in self.daemon.registry.by_number.values():
            self.daemon.registry.sets.provide(slot, 1, True)  # type: ignore[arg-type]
        self.house.feed(youtube(1))
        self.raw = raw

    def load(self) -> None:
        """What `Children` does with the compiler's output."""
        if not self.daemon.dispatcher.guard(self.daemon.loader.compiled, self.raw, ""):
            self.daemon.dispatcher.guard(self.daemon.loader.compiled, b"", "a fault")

    def tables(self) -> dict[str, Any]:
        """All that says which policy is in force: the objects themselves."""
        registry, engine, hub = self.daemon.registry, self.daemon.engine, self.daemon.registry.hub
        assert hub is not None
        info = dict(self.daemon.loader.info)
        for told in ("errors", "warnings", "reports", "failed_at"):
            del info[told]
        return {
            "targets": dict(registry.targets), "by_number": dict(registry.by_number), "sinks": dict(registry.sinks),
            "counters": dict(registry.all_counters), "described": registry.described, "channels": list(hub.channels),
            "policy": engine.policy, "max_flows": engine.flows.most, "info": info, "names": self.daemon.loader._names,
            "data": [slot.data for slot in registry.by_number.values()], "misfits": registry.sets.misfits,
            "using": [sink.channel for sink in registry.sinks.values()],
            "siblings": [list(slot.siblings) for slot in registry.by_number.values()],
        }  # fmt: skip

    def turn(self) -> None:
        """The end of a turn of the loop, with whatever is to be healed."""
        self.daemon.registry.commit(self.daemon.now())
        for _ in range(3):
            if self.daemon.healing.busy:
                self.daemon.healing.go_on(self.daemon.now(), lambda: False)

    def works(self, config: dict[str, Any]) -> None:
        """A flow reaches all targets of this policy, and nothing else."""
        self.turn()
        self.house.feed(youtube(2))
        self.turn()
        present = set(self.daemon.registry.targets)
        assert present == set(config["targets"]), present
        for target in config["targets"].values():
            if target["target_type"] in ("nftset", "ipset"):
                held = self.kernel.sets[target["set_name"] + ".v4"]
                assert [key for key in held if ADDRESS in key or target["target_type"] == "ipset"], (target, held)
        assert len(self.daemon.registry.targets["log.video"].log)  # type: ignore[union-attr]
        [channel] = self.daemon.registry.hub.channels  # type: ignore[union-attr]
        assert channel._listener is not None and not channel.trouble  # type: ignore[attr-defined]

    def close(self) -> None:
        assert self.daemon.registry.hub is not None
        self.daemon.registry.hub.close()


def key_of(frame: FrameType) -> tuple[str, int, str]:
    code = frame.f_code
    return code.co_filename, code.co_firstlineno, code.co_qualname


def is_step(frame: FrameType) -> bool:
    """Whether a call is one of nfa's, and not of the guard itself."""
    name = frame.f_code.co_filename
    return ("/nfa/daemon/" in name and not name.endswith("base/dispatcher.py")) or "/nfa/image/" in name


def called(deed: Callable[[], None]) -> list[tuple[str, int, str]]:
    """The functions of nfa that a deed calls, each once, in order."""
    found: dict[tuple[str, int, str], None] = {}

    def trace(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and is_step(frame):
            found[key_of(frame)] = None

    sys.settrace(trace)
    try:
        deed()
    finally:
        sys.settrace(None)
    return list(found)


def with_fault(deed: Callable[[], None], where: tuple[str, int, str], kind: type[Exception]) -> bool:
    """Do it, and have the first call of one function raise. Returns whether it was called."""
    hit = False

    def trace(frame: FrameType, event: str, _: object) -> None:
        nonlocal hit
        if event == "call" and not hit and key_of(frame) == where:
            hit = True
            raise kind("injected")

    sys.settrace(trace)
    try:
        deed()
    finally:
        sys.settrace(None)
    return hit


@pytest.fixture
def raw(tmp_path: Path) -> bytes:
    sink_file(tmp_path, "new")
    return compiled(tmp_path, NEW)


@pytest.mark.parametrize("kind", [RuntimeError, MemoryError])
def test_a_fault_at_any_step_of_loading_leaves_one_whole_policy(tmp_path: Path, raw: bytes, kind: type[Exception]) -> None:
    """A policy half in force: actions that reach sets of the old one, sets that nobody fills, or the daemon is gone."""
    site = Site(tmp_path, raw)
    steps = called(site.load)
    assert site.daemon.loader.info["generation"] == 2
    site.works(NEW)
    site.close()
    names = {name for *_, name in steps}
    assert {"Loader.take", "Registry.prepare", "Registry.adopt", "Policy.__init__", "Hub.adopt", "KeptSets.provide"} <= names
    outcomes = []
    for where in steps:
        site = Site(tmp_path, raw)
        before = site.tables()
        assert with_fault(site.load, where, kind), where
        told = site.daemon.dispatcher.faults > 0 or bool(site.daemon.loader.info["failed_at"])
        generation = site.daemon.loader.info["generation"]
        outcomes.append((generation, where[2]))
        try:
            assert told, "nobody learns of it"
            assert site.daemon.loader.info["compiling"] is None
            if generation == 1:
                assert site.tables() == before, "the old policy is not as it was"
                assert site.daemon.loader.info["failed_at"]
            site.works(OLD if generation == 1 else NEW)
            assert not site.daemon.loader._began
        except BaseException as failure:
            failure.add_note(f"{kind.__name__} in {where}: {site.daemon.dispatcher.last_fault}")
            raise
        finally:
            site.close()
    assert {generation for generation, _ in outcomes} == {1, 2}, "faults in both halves"
