"""The type of the `load_config` fixture, in a module of its own: every folder has a conftest."""

from collections.abc import Callable

from nfa.compiler.base.report import Reports
from nfa.compiler.config.model import Policy

Load = Callable[[object], tuple[Policy | None, Reports]]
