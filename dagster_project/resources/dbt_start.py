"""What dbt does again at each invocation, and need do once a process: a run of ours is some ten invocations."""

from __future__ import annotations

from types import CodeType
from typing import Any, Final

# A workspace of 40 sources has some 2,000 templates, macros among them.
_TEMPLATES_KEPT: Final = 10_000
_originals: dict[str, Any] = {}  # what stands here in dbt, by what it does
_codes: dict[tuple[object, ...], CodeType] = {}
_trees: dict[tuple[object, ...], Any] = {}


def quicken_start() -> None:
    """Spare each invocation of this process what has the answer of the one before; to call it again changes nothing.

    Who declares dbt's behaviour flags: it reads the source of every module on the stack for it, twice, 0.1 s each, for a
    word in a message that nobody is shown (2026-11-22). Which plugins are installed: it looks through all of
    site-packages, 0.03 s. What its templates are as Python, those of its own settings among them: 0.04 s, and a model
    that is run for each step is compiled once. And what depends on what in a manifest, cycles searched: 0.03 s
    (2026-11-23). What a macro's text says: dbt parses each of 710 twice for a manifest, to find it and to find what it
    calls, which was over half of the 3 s (2026-11-29).
    """
    from dbt.compilation import Compiler
    from dbt.plugins import manager
    from dbt_common.behavior_flags import BehaviorFlagRendered
    from dbt_common.clients.jinja import MacroFuzzEnvironment

    BehaviorFlagRendered._default_source = staticmethod(lambda: "dbt.adapters")  # type: ignore[method-assign]
    manager.PluginManager.get_prefixed_modules = staticmethod(manager._get_dbt_modules)
    if Compiler.compile is not _linked_once:
        _originals["link"], _originals["compile"] = Compiler.compile, MacroFuzzEnvironment.compile
        Compiler.compile = _linked_once
        MacroFuzzEnvironment.compile = _compiled_once  # type: ignore[assignment]
        _originals["parse"] = MacroFuzzEnvironment.parse
        MacroFuzzEnvironment.parse = _parsed_once  # type: ignore[assignment, method-assign]


def _compiled_once(
    environment: Any,
    source: Any,
    name: str | None = None,
    filename: str | None = None,
    raw: bool = False,
    defer_init: bool = False,
) -> Any:
    """`jinja2.Environment.compile`: what text compiles to depends on the kind of environment alone, not on its node."""
    if not isinstance(source, str) or raw or defer_init:
        return _originals["compile"](environment, source, name, filename, raw, defer_init)
    key = (type(environment), source, name, filename)
    code = _codes.get(key)
    if code is None:
        if len(_codes) >= _TEMPLATES_KEPT:
            _codes.clear()
        code = _codes[key] = _originals["compile"](environment, source, name, filename)
    return code


def _parsed_once(environment: Any, source: str, name: str | None = None, filename: str | None = None) -> Any:
    """`jinja2.Environment.parse`: the tree of a text, which dbt only looks through; what is compiled has its own."""
    key = (type(environment), source, name, filename)
    tree = _trees.get(key)
    if tree is None:
        if len(_trees) >= _TEMPLATES_KEPT:
            _trees.clear()
        tree = _trees[key] = _originals["parse"](environment, source, name, filename)
    return tree


def _linked_once(compiler: Any, manifest: Any, write: bool = True, add_test_edges: bool = False) -> Any:
    """`Compiler.compile`, which compiles nothing: the graph of a manifest, which stays as it was parsed.

    With the edges of tests it is another graph, which only `dbt build` asks for.
    """
    if add_test_edges:
        return _originals["link"](compiler, manifest, write, add_test_edges)
    graph = vars(manifest).get("_linked")
    if graph is None:
        graph = vars(manifest)["_linked"] = _originals["link"](compiler, manifest, write)
    return graph
