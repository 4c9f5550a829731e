"""What MicroPython loads has no syntax, module, name or method that it lacks: looked at wherever the tests run.

The tables say what MicroPython 1.25 has (Unix port, as Debian and OpenWrt build it).
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from module_trees import running

ROOT = Path(__file__).parents[3]


def words(text: str) -> set[str]:
    """The words of a text."""
    return set(text.split())


HAS = {
    "binascii": "a2b_base64 b2a_base64 crc32 hexlify unhexlify",
    "collections": "OrderedDict deque namedtuple",
    "errno": "EACCES EADDRINUSE EAGAIN EALREADY EBADF ECONNABORTED ECONNREFUSED ECONNRESET EEXIST EHOSTUNREACH EINPROGRESS "
    "EINVAL EIO EISDIR ENOBUFS ENODEV ENOENT ENOMEM ENOTCONN EOPNOTSUPP EPERM ETIMEDOUT errorcode",
    "ffi": "open func callback",
    "gc": "collect disable enable isenabled mem_alloc mem_free threshold",
    "io": "open BytesIO IOBase StringIO",
    "json": "dump dumps load loads",
    "os": "chdir errno getcwd getenv ilistdir listdir mkdir putenv remove rename rmdir sep stat statvfs system unlink urandom",
    "re": "compile match search sub",
    "select": "POLLERR POLLHUP POLLIN POLLOUT poll",
    "socket": "AF_INET AF_INET6 AF_UNIX SOCK_DGRAM SOCK_RAW SOCK_STREAM SOL_SOCKET SO_BROADCAST SO_ERROR SO_KEEPALIVE "
    "SO_LINGER SO_REUSEADDR getaddrinfo inet_ntop inet_pton sockaddr socket",
    "struct": "calcsize pack pack_into unpack unpack_from",
    "sys": "argv atexit byteorder exc_info executable exit implementation maxsize modules path platform print_exception "
    "stderr stdin stdout version version_info",
    "time": "clock gmtime localtime mktime sleep sleep_ms sleep_us ticks_add ticks_cpu ticks_diff ticks_ms ticks_us "
    "time time_ns",
    "uctypes": "addressof bytearray_at bytes_at sizeof",
}
BUILTINS = words(
    "ArithmeticError AssertionError AttributeError BaseException EOFError Ellipsis Exception GeneratorExit ImportError "
    "IndentationError IndexError KeyError KeyboardInterrupt LookupError MemoryError NameError NotImplemented "
    "NotImplementedError OSError OverflowError RuntimeError StopIteration SyntaxError SystemExit TypeError UnicodeError "
    "ValueError ZeroDivisionError __import__ abs all any bin bool bytearray bytes callable chr classmethod compile "
    "complex delattr dict dir divmod enumerate eval exec filter float frozenset getattr globals hasattr hash hex id "
    "input int isinstance issubclass iter len list locals map max memoryview min next object oct open ord pow print "
    "property range repr reversed round set setattr slice sorted staticmethod str sum super tuple type zip __name__"
)
METHODS = words(
    "count endswith find format index isalpha isdigit islower isspace isupper join lower lstrip replace rfind rindex "
    "rsplit rstrip split startswith strip upper center encode decode partition rpartition splitlines hex fromhex "
    "from_bytes to_bytes append clear copy extend insert pop remove reverse sort get items keys popitem setdefault "
    "update values fromkeys add discard difference difference_update intersection intersection_update isdisjoint "
    "issubset issuperset symmetric_difference symmetric_difference_update union"
)
_KINDS = (str, bytes, int, float, list, dict, set, bytearray)
LACKING = {name for kind in _KINDS for name in dir(kind) if name[0] != "_"} - METHODS - {"real", "imag"}
LACKING |= {"connect_ex", "getsockname", "getsockopt", "recv_into", "sendall", "sendmsg", "shutdown", "strerror"}
FOR_BOTH = {"nfa.daemon.base.portable": "body", "nfa.daemon.base.json": "body", "nfa.daemon.base.socket": "orelse"}
"""Modules with a side for each interpreter, and where CPython's is."""
CPYTHON_ONLY = {
    "nfa.daemon.bus.control": {"call"},
    "nfa.daemon.base.listening": {"is_there", "listen_at", "listen_unix", "remove_unix"},
    "nfa.daemon.stream.records": {"_seeded_key"},
    "nfa.image.plain": {"dump", "_counted"},
}
"""Functions that only CPython calls, in modules that both load."""
GUARDED = {("nfa.daemon.stream.client", "IPPROTO_TCP")}
"""What stands where only CPython comes."""


def file_of(module: str) -> Path | None:
    path = ROOT.joinpath(*module.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def tree_of(module: str) -> ast.Module:
    """The module without what is CPython's only."""
    file = file_of(module)
    assert file is not None
    tree = running(file)
    if module in FOR_BOTH:
        branch = next(node for node in tree.body if isinstance(node, ast.If))
        setattr(branch, FOR_BOTH[module], [ast.Pass()])
    only = CPYTHON_ONLY.get(module, set())
    tree.body = [node for node in tree.body if not (isinstance(node, ast.FunctionDef) and node.name in only)]
    return tree


def imports(module: str, tree: ast.Module) -> Iterator[tuple[str, list[str]]]:
    """Each imported module, with the names that are taken from it."""
    file = file_of(module)
    assert file is not None
    package = module.split(".") if file.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            full = ".".join([*base, *([node.module] if node.module else [])])
            names = [alias.name for alias in node.names]
            inner = [f"{full}.{name}" for name in names if file_of(f"{full}.{name}")]
            if inner:
                yield from ((name, []) for name in inner)
            else:
                yield full, names


def loaded() -> list[str]:
    """All modules of nfa that `micropython -m nfa.daemon.micropython` loads."""
    found = ["nfa.daemon.micropython.__main__"]
    for module in found:
        for name, _ in imports(module, tree_of(module)):
            if name.startswith("nfa") and name not in found:
                found.append(name)
    return found


MODULES = loaded()


def test_stream_engine_netlink_and_targets_are_loaded_and_no_compiler() -> None:
    """MicroPython would have no room for the compiler, or a part of the daemon would not be looked at here."""
    assert {
        "nfa.daemon.stream.client",
        "nfa.daemon.engine.engine",
        "nfa.daemon.netlink.nftables",
        "nfa.daemon.targets.registry",
    } <= set(MODULES)
    assert not [module for module in MODULES if re.match(r"nfa\.(cli|compiler|daemon\.sinks|daemon\.processes)\b", module)]


def test_what_is_loaded_is_what_the_page_says_to_copy() -> None:
    """Copied as documented, it would end with an ImportError on the router."""
    page = (ROOT / "docs/micropython.md").read_text("utf-8")
    part = page[page.index("and the folder `nfa`") : page.index("of that folder are needed")]
    listed = set(re.findall(r"`([\w/.]+)`", part))
    for module in MODULES:
        file = file_of(module)
        assert file is not None
        top, slash, _ = file.relative_to(ROOT / "nfa").as_posix().partition("/")
        assert top + slash in listed, module


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_what_micropython_has(module: str) -> None:
    """`micropython -m nfa.daemon.micropython` would end in a traceback on somebody's router."""
    for name, wanted in imports(module, tree_of(module)):
        assert name.startswith("nfa") or name in HAS, f"{module} imports {name}"
        if not name.startswith("nfa"):
            assert set(wanted) - {"*"} <= words(HAS[name]), f"{module} imports {wanted} from {name}"


@pytest.mark.parametrize("module", MODULES)
def test_a_module_uses_what_micropython_has(module: str) -> None:
    """A name, method or form that MicroPython lacks is noticed there only when it comes to it, perhaps after weeks."""
    tree = tree_of(module)
    stdlib = {name for name, wanted in imports(module, tree) if not wanted and name in HAS}
    for node in ast.walk(tree):
        where = f"{module}, line {getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.List | ast.Tuple | ast.Set) and isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
            assert not any(isinstance(item, ast.Starred) for item in node.elts), f"{where}: * in a list or tuple"
        if isinstance(node, ast.Dict):
            assert None not in node.keys, f"{where}: ** in a dict"
        assert not isinstance(node, ast.Match | ast.AsyncFunctionDef | ast.TryStar), where
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and hasattr(builtins, node.id):
            assert node.id in BUILTINS, f"{where}: {node.id}"
        if isinstance(node, ast.Attribute):
            of = node.value.id if isinstance(node.value, ast.Name) else ""
            if of in stdlib:
                known = node.attr in words(HAS[of]) or (module, node.attr) in GUARDED
                assert known, f"{where}: {of}.{node.attr}"
            else:
                assert node.attr not in LACKING, f"{where}: .{node.attr}"


@pytest.mark.parametrize("module", MODULES)
def test_a_module_calls_as_micropython_does(module: str) -> None:
    """`struct` knows no `=` and no blanks there, and some built-in functions no keywords."""
    for node in ast.walk(tree_of(module)):
        if not isinstance(node, ast.Call):
            continue
        where = f"{module}, line {node.lineno}"
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if name in ("deque", "zip", "to_bytes", "from_bytes", "encode", "split"):
            assert not node.keywords, f"{where}: {name} with a keyword"
        of = node.func.value if isinstance(node.func, ast.Attribute) else None
        first = node.args[0] if node.args else None
        if isinstance(of, ast.Name) and of.id == "struct" and isinstance(first, ast.Constant):
            assert not set(str(first.value)) & set("= "), f"{where}: {first.value!r}"
