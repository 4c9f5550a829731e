"""A whole daemon without its process: real policy, engine and table of methods, over a kernel of plain functions.

In: a configuration and records. Out: what a caller of the bus gets. Children are real processes.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import samples
from fake_kernel import Kernel
from waiting import PATIENCE

from nfa.compiler.assemble import image_of
from nfa.compiler.base.paths import Paths
from nfa.compiler.compile import compile_policy
from nfa.compiler.config import uciconfig
from nfa.compiler.config.sources import Sources
from nfa.daemon.base.dispatcher import NEVER
from nfa.daemon.bus import methods
from nfa.daemon.daemon import Daemon

Record = dict[str, Any]
CONFIG: dict[str, Any] = {
    "version": 1,
    "usage": True,
    "actions": {
        "video": {"criteria": ["app == 'youtube';"], "targets": ["nft.video", "log.video"]},
        "games": {"criteria": ["category == 'games';"], "targets": ["nft.games"], "enabled": False},
    },
    "targets": {
        "nft.video": {"target_type": "nftset", "set_name": "video", "managed": True, "type": ["other_addr", "other_port"]},
        "nft.games": {"target_type": "nftset", "set_name": "games", "managed": True},
        "log.video": {"target_type": "log", "path": "/tmp/nowhere/nfa"},
    },
}


class House:
    """A daemon with a policy in force."""

    def __init__(self, folder: Path, config: object = CONFIG, uci: str = "") -> None:
        """`uci`: the text of the package, for what only UCI has."""
        self.file = folder / "policy.json"
        self.file.write_text(json.dumps(config))
        settings = {
            "source": "unix:///nowhere", "files": [str(self.file)],
            "uci": str(folder) if uci else "", "uci_required": bool(uci),
            "control": str(folder / "control.sock"), "state": str(folder), "log_level": "error", "verbose": True,
            "ubus": "none",
        }  # fmt: skip
        self.daemon = Daemon(settings)
        self.kernel = Kernel("video.v4", "video.v6", "games.v4", "games.v6")
        self.daemon.registry.sets._nft = self.kernel  # type: ignore[assignment]
        paths = Paths(str(folder), str(folder))
        if uci:
            (folder / uciconfig.PACKAGE).write_text(uci)
        sources = Sources(str(folder) if uci else None, bool(uci), (str(self.file),))
        compiled, reports = compile_policy(sources, paths, look=False)
        assert compiled is not None, [report.text() for report in reports.items]
        data = image_of(compiled) | {"watch": []}
        self.daemon.loader.wanted = False
        self.daemon.loader.take(data, self.daemon.now())
        self.daemon.loader._watched._timer.move(NEVER)  # tests say themselves when it is to be compiled anew

    def feed(self, *records: Record) -> None:
        """Let records come in, as one turn of the loop."""
        now = self.daemon.now()
        self.daemon._taken_at = time.time()
        self.daemon.engine.take([samples.payload(record) for record in records], now)
        self.daemon.registry.commit(now)

    def call(self, method: str, **arguments: Any) -> tuple[int, dict[str, Any]]:
        """Call a method and wait for its answer, while the daemon's searches and children go on."""
        answers: list[tuple[int, dict[str, Any]]] = []
        methods.answer(self.daemon, method, arguments, lambda status, data: answers.append((status, data or {})))
        deadline = time.monotonic() + PATIENCE
        while not answers and time.monotonic() < deadline:
            self.daemon.dispatcher.turn(10)  # a call comes while descriptors are looked at, so what it began is not waited for
        assert len(answers) == 1, f"{method}: {answers}"
        return answers[0]

    def result(self, method: str, **arguments: Any) -> dict[str, Any]:
        """The answer of a call that must succeed. It must be JSON, and fit into a message of ubus."""
        status, data = self.call(method, **arguments)
        assert status == 0, data
        assert len(json.dumps(data)) < 1 << 20
        return data


def youtube(number: int, **fields: Any) -> Record:
    """A flow record of YouTube, to another address for each number."""
    address = f"203.0.{number >> 8}.{number & 255}"
    return samples.flow("QUIC", "netify.youtube", ip_protocol=17, other_ip=address, digest=f"{number:08x}" + "0" * 32, **fields)
