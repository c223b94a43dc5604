"""What dbt does again for each model, and need not: a night of ours runs some 110 models, small ones most of them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

# By what each does: dbt's own, and what asks it where ours has no answer.
_originals: dict[str, Any] = {}
_LISTENED_TO: Final = "BehaviorChangeEvent"  # the one event that dbt's own callback looks at


def quicken_models() -> None:
    """Spare each model of this process what changes nothing that it makes; to call it again changes nothing.

    Of the processor time of 66 models of a small night, without the engine's own, it took about a third (2026-11-29):
    a tenth to name all 710 macros for each of a model's 2.5 contexts, and to look each name up in five places; a tenth
    to write down 28 events that nobody reads; a twentieth to learn English dates, three times a model, for results
    that hold none; and a twentieth to compare a name with all 80 relations of a schema, part by part.
    """
    from dbt.adapters.base.impl import BaseAdapter
    from dbt.context.macros import MacroNamespaceBuilder
    from dbt.context.manifest import ManifestContext
    from dbt_common.clients import agate_helper
    from dbt_common.events.base_types import BaseEvent
    from dbt_common.events.event_manager import EventManager

    if EventManager.fire_event is _fired_if_heard:
        return
    _originals.update(
        fire=EventManager.fire_event,
        event=BaseEvent.__init__,
        match=BaseAdapter._make_match,
        tester=agate_helper.build_type_tester,
    )
    EventManager.fire_event = _fired_if_heard  # type: ignore[assignment, method-assign]
    BaseEvent.__init__ = _written_when_read  # type: ignore[assignment, method-assign]
    BaseEvent.__getattr__ = _read  # type: ignore[method-assign]
    BaseEvent.__setattr__ = _written  # type: ignore[method-assign]
    MacroNamespaceBuilder.build_namespace = _named_at_once
    ManifestContext.to_dict = _laid_over
    BaseAdapter._make_match = _matched_by_name
    agate_helper.build_type_tester = _tester
    agate_helper.empty_table = _nothing


# ------------------------------------------------------------------------------------------------------- events


def _fired_if_heard(
    manager: Any, e: Any, level: Any = None, node: Any = None, force_warn_or_error_handling: bool = False
) -> None:
    """`EventManager.fire_event`: with no log, and no warning that may have to become an error, nobody hears it."""
    from dbt.tracking import track_behavior_change_warn

    heard = (
        manager.loggers
        or force_warn_or_error_handling
        or manager.require_warn_or_error_handling
        or type(e).__name__ == _LISTENED_TO
        or any(each is not track_behavior_change_warn for each in manager.callbacks)
    )
    if heard:
        _originals["fire"](manager, e, level, node, force_warn_or_error_handling)


def _written_when_read(event: Any, *args: Any, **kwargs: Any) -> None:
    """`BaseEvent.__init__`: what an event says becomes a message of protobuf when somebody looks at it."""
    event.__dict__["_told"] = args, kwargs


def _read(event: Any, key: str) -> Any:
    """`BaseEvent.__getattr__`: an event's fields are those of its message."""
    if key != "pb_msg":
        return getattr(event.pb_msg, key)
    told = event.__dict__.pop("_told", None)
    if told is None:
        raise AttributeError(key)
    args, kwargs = told
    _originals["event"](event, *args, **kwargs)
    return event.__dict__["pb_msg"]


def _written(event: Any, key: str, value: Any) -> None:
    """`BaseEvent.__setattr__`, likewise."""
    if key == "pb_msg":
        event.__dict__[key] = value
    else:
        setattr(event.pb_msg, key, value)


# ------------------------------------------------------------------------------------------------------- macros


def _named_at_once(builder: Any, macros_by_package: Any, ctx: Any) -> Any:
    """`MacroNamespaceBuilder.build_namespace`: the same names, without a call or two for each of them."""
    from dbt.clients.jinja import MacroGenerator
    from dbt.context.macros import MacroNamespace

    node, stack, new = builder.node, builder.thread_ctx, MacroGenerator.__new__
    packages: dict[str, dict[str, Any]] = {}
    internal: dict[str, dict[str, Any]] = {}
    for package, macros in macros_by_package.items():
        named = {}
        for name, macro in macros.items():
            callable_macro = named[name] = new(MacroGenerator)
            callable_macro.__dict__ = {"context": ctx, "macro": macro, "node": node, "stack": stack}
        (internal if package in builder.internal_package_names else packages)[package] = named
    own, root = builder.search_package, builder.root_package
    project: dict[str, Any] = {}
    # The first of them wins.
    for package in reversed(builder.internal_package_names_order):
        project.update(internal.get(package, {}))
    return MacroNamespace(
        global_namespace=packages.get(root, {}) if root != own else {},
        local_namespace=packages.get(own, {}),
        global_project_namespace=project,
        packages=packages,
    )


def _laid_over(context: Any) -> Any:
    """`ManifestContext.to_dict`: a namespace's five places one over the other, the first of them last."""
    from dbt.context.configured import ConfiguredContext
    from dbt.context.macro_resolver import TestMacroNamespace

    told = ConfiguredContext.to_dict(context)
    if isinstance(context.namespace, TestMacroNamespace):
        told.update(context.namespace.local_namespace)
        told.update(context.namespace.project_namespace)
    else:
        for place in reversed(list(context.namespace._search_order())):
            told.update(place)
    return told


# -------------------------------------------------------------------------------------------- relations, results


def _matched_by_name(
    adapter: Any, relations_list: Iterable[Any], database: str, schema: str, identifier: str
) -> list[Any]:
    """`BaseAdapter._make_match`: one of another name, however it is written, matches neither exactly nor nearly."""
    if identifier:
        name = identifier.lower()
        relations_list = [
            each
            for each in relations_list
            if (held := each.path.identifier) is None
            or held.lower().strip(each.quote_character) == name.strip(each.quote_character)
        ]
    found: list[Any] = _originals["match"](adapter, relations_list, database, schema, identifier)
    return found


def _tester(text_columns: Iterable[str], string_null_values: Iterable[str] | None = ("null", "")) -> Any:
    """`build_type_tester`: one for each list of columns that hold text; it keeps nothing of what it has tested."""
    nulls = None if string_null_values is None else tuple(string_null_values)
    return _tester_of(tuple(sorted(text_columns)), nulls)


@lru_cache(maxsize=1_000)
def _tester_of(text_columns: tuple[str, ...], string_null_values: tuple[str, ...] | None) -> Any:
    return _originals["tester"](text_columns, string_null_values)


def _nothing() -> Any:
    """`empty_table`: a table without columns, of which none needs a type."""
    from dbt_common.clients import agate_helper

    return vars(agate_helper)["agate"].Table(rows=[], column_types=())
