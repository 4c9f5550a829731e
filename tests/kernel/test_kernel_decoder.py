"""orjson, where it is installed, decodes the records of the running daemon, and everything else is the same."""

from __future__ import annotations

import pytest
from kernel_lab import Lab, nftset, policy
from samples import flow, frame

pytestmark = pytest.mark.kernel


@pytest.mark.parametrize("wanted", ["orjson", "standard"])
def test_the_daemon_decodes_with_what_is_there(lab: Lab, wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package would be installed for speed, and nothing would be faster."""
    pytest.importorskip("orjson")
    monkeypatch.setenv("NFA_JSON", wanted)
    lab.start(policy({"n": nftset("n", "other_addr", ttl=600)}))
    odd = frame(flow(other="203.0.113.6", host_server_name="name")).replace(b'"name"', b'"n\xffme"')
    broken = frame(flow()).replace(b'"flow":{', b'"flow":[')
    status = lab.feed(flow(other="203.0.113.5"), odd, broken)
    assert status["source"]["decoder"].startswith("orjson" if wanted == "orjson" else "json")
    assert {key[0] for key in lab.namespace.nft_set("nfa n.v4").keys} == {"203.0.113.5", "203.0.113.6"}
    assert status["source"]["bad"]["json"] == 1
