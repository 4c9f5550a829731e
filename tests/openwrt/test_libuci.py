"""Our reader of UCI's format against the real libuci: the same files load, and they mean the same."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from uci_samples import READ, REFUSED, SAMPLE, Sections, texts

from nfa.compiler.base.paths import Paths
from nfa.compiler.base.report import Reports
from nfa.compiler.config import libuci, uciconfig
from nfa.compiler.config.document import Document
from nfa.compiler.config.sources import Sources, load

pytestmark = pytest.mark.skipif(libuci.Uci is None, reason="needs pyuci")


def real(text: str) -> Sections | None:
    """What libuci reads; None for what it refuses."""
    try:
        return libuci.sections(text.encode(errors="surrogateescape"))
    except libuci.Refused:
        return None


@pytest.mark.parametrize("name", READ)
def test_the_recorded_files_are_read_so(name: str) -> None:
    """The tests that run everywhere would hold our reader to something that libuci does not do."""
    text, expected = READ[name]
    found = real(text)
    assert found == expected
    assert [list(options) for _, _, options in found] == [list(options) for _, _, options in expected]


@pytest.mark.parametrize("name", REFUSED)
def test_the_recorded_files_are_refused(name: str) -> None:
    """The tests that run everywhere would refuse what works on a router."""
    assert real(REFUSED[name][0]) is None


def both(folder: Path, content: bytes, monkeypatch: pytest.MonkeyPatch) -> tuple[Document | None, Document | None]:
    """The package with this content as read with libuci, and without; the findings must be the same."""
    (folder / uciconfig.PACKAGE).write_bytes(content)
    found, told = [], []
    for library in (libuci.Uci, None):
        with monkeypatch.context() as patched:
            patched.setattr(libuci, "Uci", library)
            reports = Reports()
            found.append(uciconfig.read(str(folder), reports))
            told.append(reports.items)
    assert told[0] == told[1]
    return found[0], found[1]


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts())
def test_both_readers_give_the_same_for_any_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """A policy would depend on whether python3-uci is installed."""
    with_libuci, without = both(tmp_path, text.encode(errors="surrogateescape"), monkeypatch)
    assert with_libuci == without
    if "\udcff" not in text:
        assert (real(text) is None) == (without is None)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_both_readers_give_the_same_for_a_damaged_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: st.DataObject
) -> None:
    """A slip of the editor would be read differently."""
    content = SAMPLE.read_bytes()
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(content)))
        end = start + data.draw(st.integers(0, 12))
        char = st.sampled_from([b"'", b'"', b"\\", b"#", b";", b"\n", b" ", b"\xff", b"\xc3\xbc", b"\0", b"x"])
        insert = data.draw(st.just(b"") | char)
        content = content[:start] + insert + content[end:]
    with_libuci, without = both(tmp_path, content, monkeypatch)
    assert with_libuci == without


def test_both_readers_give_the_same_for_the_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The places of the documentation's own sample would be lost on a router."""
    with_libuci, without = both(tmp_path, SAMPLE.read_bytes(), monkeypatch)
    assert with_libuci == without
    assert with_libuci and len(with_libuci.targets) == 7


def test_changes_that_are_not_committed_are_not_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reload in the middle of someone's edit would put half of it in force."""
    text = "config action 'a'\n\toption criteria '*'\n\toption target 'l'\nconfig target 'l'\n\toption target_type 'log'\n"
    (tmp_path / uciconfig.PACKAGE).write_text(text)
    uci = libuci.Uci(confdir=str(tmp_path), savedir=str(tmp_path / "delta"))
    uci.set(uciconfig.PACKAGE, "a", "priority", "7")
    uci.save(uciconfig.PACKAGE)
    assert os.listdir(tmp_path / "delta") == [uciconfig.PACKAGE]
    policy = load(Sources(str(tmp_path), True), Paths(str(tmp_path), str(tmp_path)), Reports())
    assert policy and policy.actions[0].priority == 100
    uci.commit(uciconfig.PACKAGE)
    policy = load(Sources(str(tmp_path), True), Paths(str(tmp_path), str(tmp_path)), Reports())
    assert policy and policy.actions[0].priority == 7


def test_what_libuci_writes_is_read_with_its_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After `uci commit` the file looks different: its quotes, its order, its escapes."""
    (tmp_path / uciconfig.PACKAGE).write_text("config action 'a'\n")
    uci = libuci.Uci(confdir=str(tmp_path), savedir=str(tmp_path / "delta"))
    uci.set(uciconfig.PACKAGE, "a", "criteria", ["app == 'x';", "line\ntwo", "it's", 'say "x"', "\\"])
    uci.commit(uciconfig.PACKAGE)
    document, without = both(tmp_path, (tmp_path / uciconfig.PACKAGE).read_bytes(), monkeypatch)
    assert document == without and document
    (_, value) = document.actions[0].properties[0]
    assert value.plain() == ["app == 'x';", "line\ntwo", "it's", 'say "x"', "\\"]
    assert [element.place.line for element in value.value] == [3, 4, 6, 7, 8]  # type: ignore[union-attr]
