"""`make ipk`: the package is built, unpacked, compared with the Makefile, installed into a folder, and run from there."""

from __future__ import annotations

import gzip
import importlib.util
import io
import marshal
import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

import openwrt_root
import pytest
from test_makefile import MAKEFILES, shown
from waiting import patience

import nfa

ROOT = Path(__file__).resolve().parents[2]
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
SITE = f"usr/lib/python{PYTHON}/site-packages"

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="there is no make")


def make_ipk(out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Run `make ipk`; the package is for this Python, and nothing is left in the repository."""
    outside = {key: value for key, value in os.environ.items() if key not in ("TOPDIR", "MAKEFLAGS", "MAKELEVEL")}
    given = [f"OUT={out}", f"BUILD_DIR={out}/build", f"PYTHON={sys.executable}", *more]
    command = ["make", "-s", "-C", str(ROOT), "ipk", *given]
    return subprocess.run(command, capture_output=True, text=True, env=outside, check=False)


@dataclass
class Unpacked:
    """An .ipk, the entries of its two inner archives, and the texts of the control files."""

    file: Path
    data: dict[str, tarfile.TarInfo]
    control: dict[str, tarfile.TarInfo]
    texts: dict[str, str]

    def install(self, root: Path) -> None:
        """Do what opkg does: unpack the data."""
        _, parts = contents(self.file.read_bytes())
        _, files = contents(parts["./data.tar.gz"])
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            path.chmod(self.data[name].mode)


def contents(archive: bytes) -> tuple[dict[str, tarfile.TarInfo], dict[str, bytes]]:
    """The entries of a tar, and the bytes of its files."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        entries = {entry.name: entry for entry in tar}
        texts = {name: tar.extractfile(name).read() for name, entry in entries.items() if entry.isfile()}  # type: ignore[union-attr]
    return entries, texts


def unpacked(file: Path) -> Unpacked:
    """What is in an .ipk."""
    _, parts = contents(file.read_bytes())
    assert list(parts) == ["./debian-binary", "./data.tar.gz", "./control.tar.gz"]
    assert parts["./debian-binary"] == b"2.0\n"
    (data, _), (control, texts) = (contents(parts[name]) for name in ("./data.tar.gz", "./control.tar.gz"))
    return Unpacked(file, data, control, {name: text.decode() for name, text in texts.items()})


@pytest.fixture(scope="module")
def ipk(tmp_path_factory: pytest.TempPathFactory) -> Unpacked:
    out = tmp_path_factory.mktemp("ipk")
    done = make_ipk(out, f"TARGET_PYTHON={PYTHON}")
    assert done.returncode == 0, done.stderr
    (file,) = out.glob("nfa_*.ipk")
    return unpacked(file)


@pytest.fixture(scope="module")
def root(ipk: Unpacked, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the package is installed, with pyparsing beside it, and no other nfa."""
    folder = tmp_path_factory.mktemp("root")
    ipk.install(folder)
    found = importlib.util.find_spec("pyparsing")
    assert found is not None and found.origin is not None
    (folder / SITE / "pyparsing").symlink_to(Path(found.origin).parent)
    return folder


def run(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command with a Python that sees only the folder's modules."""
    program = "import runpy, sys; sys.path[:0] = [sys.argv[1]]; del sys.argv[:2]; runpy.run_path(sys.argv[0], None, '__main__')"
    command = [sys.executable, "-ISc", program, str(root / SITE), str(root / "usr/bin/nfa"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=patience(60), cwd=root)


# -- the archive ---------------------------------------------------------------------------------------------------------


def test_the_control_file_says_what_the_makefile_says(ipk: Unpacked) -> None:
    text = ipk.texts["./control"]
    assert "\nSuggests: netifyd\n" in text
    fields, more = shown("nfa", MAKEFILES["nfa"])
    found = dict(re.findall(r"^(\S+): (.*(?:\n .*)*)", text, re.MULTILINE))
    assert found | {"Installed-Size": "0"} == fields
    assert found["Version"] == f"{nfa.__version__}-r1"
    assert int(found["Installed-Size"]) == sum(entry.size for entry in ipk.data.values())
    assert ipk.file.name == f"nfa_{found['Version']}_all.ipk"
    assert ipk.texts["./conffiles"].splitlines() == more["CONFFILES"]
    assert all(f".{name}" in ipk.data for name in more["CONFFILES"])


def test_its_files_are_those_of_the_install_section_and_the_modules(ipk: Unpacked) -> None:
    """A file that somebody adds to files/ and forgets in the Makefile is missing on the router."""
    _, more = shown("nfa", MAKEFILES["nfa"])
    installed = re.findall(r"install -m(\d+) \S+ (/\S+)", "\n".join(more["INSTALL"]))
    assert installed
    expected = {f".{name}": int(rights, 8) for rights, name in installed}
    modules = {f"./{SITE}/{path.relative_to(ROOT)}c": 0o644 for path in (ROOT / "nfa").rglob("*.py")}
    data = {
        f"./{SITE}/nfa/compiler/data/{path.name}": 0o644
        for path in (ROOT / "nfa/compiler/data").iterdir()
        if path.suffix == ".json"
    }
    data[f"./{SITE}/nfa/py.typed"] = 0o644
    found = {name: entry.mode for name, entry in ipk.data.items() if entry.isfile()}
    assert found == expected | modules | data
    assert {f"./{path.relative_to(ROOT / 'files')}" for path in (ROOT / "files").rglob("*") if path.is_file()} <= set(found)


def test_the_page_in_luci_is_built_beside_it(ipk: Unpacked) -> None:
    """Who installs nfa with opkg has no SDK to build the page with."""
    (file,) = ipk.file.parent.glob("luci-app-nfa_*.ipk")
    page = unpacked(file)
    app = ROOT / "feeds/luci-app-nfa"
    scripts = {f"./www/{path.relative_to(app / 'htdocs')}" for path in (app / "htdocs").rglob("*") if path.is_file()}
    tables = {f"./{path.relative_to(app / 'root')}" for path in (app / "root").rglob("*") if path.is_file()}
    assert {name for name, entry in page.data.items() if entry.isfile()} == scripts | tables
    assert "\nDepends: libc, luci-base, nfa\n" in page.texts["./control"]
    assert "/etc/init.d/rpcd reload" in page.texts["./postinst"], "else the menu would come with the next restart"


def test_everything_belongs_to_root_and_nothing_depends_on_who_builds(ipk: Unpacked, tmp_path: Path) -> None:
    """The same sources make the same bytes: whoever wants to check a package builds it again."""
    for entry in [*ipk.data.values(), *ipk.control.values()]:
        assert (entry.uid, entry.gid, entry.uname, entry.gname) == (0, 0, "", "")
        assert entry.isfile() or (entry.isdir() and entry.mode == 0o755)
    assert list(ipk.data) == sorted(ipk.data, key=lambda name: name.split("/"))
    old = os.umask(0o077)
    try:
        done = make_ipk(tmp_path, f"TARGET_PYTHON={PYTHON}")
    finally:
        os.umask(old)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / ipk.file.name).read_bytes() == ipk.file.read_bytes()
    with gzip.open(ipk.file) as outer:
        assert str(ROOT).encode() not in outer.read(), "the place where it was built"


def test_byte_code_names_the_files_where_they_are_on_the_router(ipk: Unpacked, root: Path) -> None:
    """Else a traceback in a bug report would name the builder's folders."""
    code = marshal.loads((root / SITE / "nfa/daemon/daemon.pyc").read_bytes()[16:])
    assert code.co_filename == f"/{SITE}/nfa/daemon/daemon.py"


def test_the_sources_are_built_into_the_wheel_of_the_sdk_too() -> None:
    """The SDK takes the modules and data that pyproject.toml names: a new folder must not be left out."""
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    assert setuptools["packages"]["find"]["include"] == ["nfa*"]
    for folder in {path.parent for path in (ROOT / "nfa").rglob("*") if path.is_file() and path.parent.name != "__pycache__"}:
        assert (folder / "__init__.py").exists(), f"{folder} is no package, and is left out"
        if any(path.suffix not in (".py", ".pyc") for path in folder.iterdir() if path.is_file()):
            assert ".".join(folder.relative_to(ROOT).parts) in setuptools["package-data"], f"the data of {folder} is left out"


def test_another_python_than_the_routers_is_refused_in_words(tmp_path: Path) -> None:
    other = "3.14" if PYTHON != "3.14" else "3.13"
    if shutil.which(f"python{other}"):
        pytest.skip(f"python{other} is here, and would be taken")
    done = make_ipk(tmp_path, f"TARGET_PYTHON={other}")
    assert done.returncode != 0
    assert f"make ipk PYTHON=python{other}" in done.stderr and PYTHON in done.stderr
    assert not list(tmp_path.glob("*.ipk"))


# -- installed -----------------------------------------------------------------------------------------------------------


def test_the_installed_command_says_its_version(root: Path) -> None:
    done = run(root, "--version")
    assert (done.stdout, done.returncode) == (f"nfa {nfa.__version__}\n", 0), done.stderr
    assert (root / "usr/bin/nfa").read_text().startswith("#!/usr/bin/python3\n")


def test_the_installed_command_finds_no_fault_with_the_installed_configuration(root: Path) -> None:
    done = run(root, "check", "-u", str(root / "etc/config"), "--state-dir", str(root / "etc"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 actions, 0 active; 5 targets" in done.stdout
    assert "0 errors, 0 warnings" in done.stdout


def test_names_are_found_beside_the_byte_code(root: Path) -> None:
    done = run(root, "apps", "youtube", "--state-dir", str(root / "etc"))
    assert "netify.youtube" in done.stdout, done.stderr


def test_the_daemon_runs_from_byte_code_only(root: Path, tmp_path: Path) -> None:
    """It starts another interpreter for itself and one for the compiler, which have to find the package again."""
    policy = tmp_path / "policy.json"
    policy.write_text(
        '{"version": 1, "actions": {"a": {"criteria": "*", "targets": ["l"]}}, "targets": {"l": {"target_type": "log"}}}'
    )
    assert not list((root / SITE / "nfa").rglob("*.py"))
    script = tmp_path / "nfa"
    script.write_text(f"import sys\nsys.path.insert(0, {str(root / SITE)!r})\nfrom nfa.cli import main\nsys.exit(main())\n")
    arguments = ["run", "-c", str(policy), "--no-uci", "--ubus", "none", "--control", str(tmp_path / "control.sock")]
    command = [sys.executable, "-I", str(script), *arguments, "-s", f"unix://{tmp_path}/none", "--state-dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path) as daemon:
        assert daemon.stdout is not None
        told = []
        try:
            for line in daemon.stdout:
                told.append(line)
                if "policy loaded: 1 of 1 actions active" in line or "error" in line:
                    break
        finally:
            daemon.terminate()
        assert "policy loaded" in told[-1], "".join(told)


def script(text: str, root: Path) -> subprocess.CompletedProcess[str]:
    """Run a script of the package as the image builder does, for a system in a folder."""
    inside = {**os.environ, "IPKG_INSTROOT": str(root)}
    return subprocess.run(["sh", "-c", text, "/tmp/nfa.script"], capture_output=True, text=True, check=False, env=inside)


def test_an_image_builder_gets_the_service_enabled(ipk: Unpacked, tmp_path: Path) -> None:
    """Installed into an image on a build machine, postinst links the service into the boot; on a router it starts it too."""
    reason = openwrt_root.missing() or ("" if shutil.which("bash") else "needs bash")
    if reason:
        pytest.skip(reason)
    router = openwrt_root.make(tmp_path / "root")
    ipk.install(router.path)
    router.write("usr/lib/opkg/info/nfa.list", "".join(f"{name[1:]}\n" for name, entry in ipk.data.items() if entry.isfile()))
    for name in ("preinst", "postinst", "prerm"):
        assert ipk.control[f"./{name}"].mode == 0o755
        done = script(ipk.texts[f"./{name}"], router.path)
        assert done.returncode == 0, done.stderr
        linked = sorted(link.name for link in (router.path / "etc/rc.d").iterdir())
        assert linked == (["K40nfa", "S60nfa"] if name == "postinst" else []), name
    assert stat.S_IMODE((router.path / "etc/init.d/nfa").stat().st_mode) == 0o755


def test_a_router_with_another_python_refuses_the_package(ipk: Unpacked, tmp_path: Path) -> None:
    """It would install, and every command would say that there is no module named nfa."""
    done = script(ipk.texts["./preinst"], tmp_path)
    assert done.returncode == 1
    assert f"Python {PYTHON}" in done.stderr
