"""Notices of a real daemon: what netifyd tells comes out as sentences in the log."""

from __future__ import annotations

from typing import Any

import pytest
from kernel_lab import Lab, eventually
from notices_lab import POLICY, flow, mac

pytestmark = pytest.mark.kernel


def test_a_real_daemon_tells_the_log_and_remembers(lab: Lab) -> None:
    """All parts together: the compiler's sentences, the daemon's names, a restart, `nfa notice`."""
    notices = {"log": {"event": ["blocked", "new_device", "weak_tls"], "to": ["log"]}}
    config: dict[str, Any] = POLICY | {"notices": notices, "language": "de", "usage_file": str(lab.folder / "kept" / "used")}
    lab.start(config)
    lab.feed(flow(1, "netify.youtube"), flow(2, ssl={"version": "0x0301"}))
    eventually(lambda: "wurde von videos blockiert" in lab.daemon.log, what="the sentence")
    assert "notice 'log': „Toms tablet“: youtube wurde von videos blockiert" in lab.daemon.log
    assert f"{mac(2)} nutzt mit netflix die veraltete Verschlüsselung TLS 1.0" in lab.daemon.log
    assert "Neues Gerät" not in lab.daemon.log, "all is learnt in the first hour"
    status = lab.daemon.status()["notices"]
    assert status["learning"] > 3500 and status["devices"] == 2 and status["notices"]["log"]["sent"] == 2
    done = lab.namespace.attempt(*lab.nfa("notice", "log", "--test", "--control", str(lab.daemon.control)))
    assert done.returncode == 0 and "taken: Dies ist ein Test der Meldung log" in done.stdout, done.stderr
    wrong = lab.namespace.attempt(*lab.nfa("notice", "lok", "--test", "--control", str(lab.daemon.control)))
    assert wrong.returncode == 1 and "did you mean 'log'?" in wrong.stderr
    shown = lab.namespace.attempt(*lab.nfa("status", "--control", str(lab.daemon.control)))
    assert "notice" in shown.stdout and "without a word" in shown.stdout
    assert lab.daemon.stop() == 0
    file = lab.folder / "kept" / "used.notices"
    assert file.stat().st_mode & 0o777 == 0o600
    lab.start(config)
    lab.feed(flow(1, "netify.youtube", port=9))
    assert lab.daemon.status()["notices"]["devices"] == 2
    assert lab.daemon.log.count("wurde von videos blockiert") == 1, "once a day, over a restart"
