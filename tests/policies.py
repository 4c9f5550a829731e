"""A configuration in, a policy in force out: compiled without a look at the kernel, its targets note what reaches them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import samples

from nfa.compiler.assemble import image_of
from nfa.compiler.base.paths import Paths
from nfa.compiler.base.report import Reports
from nfa.compiler.compile import Compiled, compile_policy
from nfa.compiler.config.sources import Sources
from nfa.daemon.engine.engine import Engine
from nfa.daemon.engine.policy import Policy
from nfa.image import cpython as image

Record = dict[str, Any]


def json_only(*files: Path) -> Sources:
    """The JSON files and nothing else: what this machine has in /etc/config is not read."""
    return Sources(files=tuple(map(str, files)))


def compiled(folder: Path, config: object) -> tuple[Compiled, Reports]:
    """Compile a configuration; netifyd's folders are in `folder`."""
    file = folder / "policy.json"
    file.write_text(json.dumps(config))
    made, reports = compile_policy(json_only(file), Paths(str(folder), str(folder)), look=False)
    assert made is not None, [report.text() for report in reports.items]
    return made, reports


def config_of(actions: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A configuration whose actions all reach the log target `log.x`, unless they name others; criteria may stand alone."""
    complete = {
        name: {"targets": ["log.x"]} | (action if isinstance(action, dict) else {"criteria": action})
        for name, action in actions.items()
    }
    targets = {name: {"target_type": "log"} for name in ("log.x", "log.y")}
    return {"version": 1, "actions": complete, "targets": targets} | more


def decided(policy: Policy, record: Record) -> tuple[int, ...] | None:
    """Return the numbers of the actions that match a record; None for a flow that is exempt from all."""
    verdict = policy.decide(record, record["flow"])
    if verdict.exempt:
        return None
    return verdict.plan.actions if verdict.plan is not None else ()


class Noted:
    """A target that notes the flows it is given; `key` is what they hold then."""

    @property
    def lasting(self) -> Noted:
        return self

    def __init__(self, key: bytes | None = None) -> None:
        self.key = key
        self.digests: list[str] = []

    def apply(self, record: Record, flow: Record, now: int, held: object) -> bytes | None:
        self.digests.append(flow["digest"])
        return self.key

    def key_of(self, record: Record, flow: Record) -> bytes | None:
        return self.key


class Desk:
    """An engine with a policy; `refreshed` is what later records of flows asked for."""

    def __init__(self, made: Compiled, keys: dict[str, bytes] | None = None, max_flows: int = 100) -> None:
        self.refreshed: list[tuple[Any, int]] = []
        self.released: list[tuple[Any, bool]] = []
        """What flows let go, and whether it was to be taken out; `released_at`: when."""
        self.released_at: list[int] = []
        self.engine = Engine(lambda held, now: self.refreshed.append((held, now)), self._release, max_flows)
        self.targets = {name: Noted((keys or {}).get(name)) for name in ("log.x", "log.y")}
        self.use(made)

    def _release(self, held: Any, now: int, withdraw: bool) -> None:
        self.released.append((held, withdraw))
        self.released_at.append(now)

    def use(self, made: Compiled) -> None:
        data: Any = image.load(image.dump(image_of(made)))
        self.engine.policy = Policy(data, image.code_of(data["code"]), self.targets, list(range(len(data["slots"]))))

    def take(self, *records: Record | bytes, now: int = 1) -> None:
        self.engine.take([record if isinstance(record, bytes) else samples.payload(record) for record in records], now)

    def actions(self, record: Record) -> list[str] | None:
        """The names of the actions that match a record; None when it is exempt from all."""
        assert self.engine.policy is not None
        found = decided(self.engine.policy, record)
        return None if found is None else [self.engine.policy.actions[number][0] for number in found]
