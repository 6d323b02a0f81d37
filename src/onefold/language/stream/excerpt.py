"""Decoders that read of each event just what the step and the definitions use, and skip the rest.

An event then costs by what is asked of it, not by what its sender put into it.
"""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from onefold.kernel import native
from onefold.model.entry import Backfilled, Defined, Entry, Linked, Recast, Received, Ruled, Sweep, Tick
from onefold.model.event import Context, Excerpt, Properties


def attribute(field: str) -> str:
    """The attribute that holds a field which definitions mention: a plain name that meets none of ours."""
    return f"f_{field}" if field.isascii() and field.isidentifier() else f"x_{field.encode().hex()}"


def context_attribute(field: str) -> str:
    """The same of a part of the context, some of which are there in any case."""
    return field if field in Context.__struct_fields__ else attribute(field)


Reader = Callable[[str, str, str | None, str | None, str | None], Excerpt]
"""(type, name, properties, context, traits), the last three as JSON objects: an event as aggregates see it."""


def decoder(properties: Iterable[str], context: Iterable[str]) -> Callable[[bytes], Entry]:
    """A decoder of entries whose events carry these properties and parts of the context, and what the step needs.

    It raises `msgspec.MsgspecError` where the bytes are no entry.
    """
    received = msgspec.defstruct(
        "Received",
        [("events", list[_excerpt(properties, context)])],  # type: ignore[misc]  # made just there
        bases=(Received,),
        tag="received",
        tag_field="kind",
        kw_only=True,
    )
    kinds: Any = received | Tick | Defined | Ruled | Linked | Sweep | Backfilled | Recast
    return msgspec.json.Decoder(kinds).decode


def records(properties: Iterable[str], context: Iterable[str]) -> Any:
    """The kernel's reader of records whose events carry these: `read(record)` is None where it is for `decoder`.

    None where there is no kernel.
    """
    if native is None:
        return None
    decode = msgspec.json.Decoder(_excerpt(properties, context)).decode
    return native.Decoder(
        [(name, attribute(name)) for name in sorted(properties)],
        [(name, context_attribute(name)) for name in sorted(context)],
        decode,
    )


def _excerpt(properties: Iterable[str], context: Iterable[str]) -> Any:
    properties_type, context_type = objects(properties, context)
    return msgspec.defstruct(
        "Excerpt",
        [("properties", properties_type | None, None), ("context", context_type | None, None)],
        bases=(Excerpt,),
        gc=False,
    )


def reader(properties: Iterable[str], context: Iterable[str]) -> Reader:
    """A reader of what history keeps of events, with these properties and parts of the context."""
    properties_type, context_type = objects(properties, context)
    read_properties = msgspec.json.Decoder(properties_type).decode
    read_context = msgspec.json.Decoder(context_type).decode
    read_traits = msgspec.json.Decoder(dict[str, Any]).decode

    def read(type_: Any, name: str, properties: str | None, context: str | None, traits: str | None) -> Excerpt:
        return Excerpt(
            type_,
            event=name if type_ == "track" else None,
            properties=read_properties(properties) if properties else None,
            context=read_context(context) if context else None,
            traits=read_traits(traits) if traits else None,
        )

    return read


def objects(properties: Iterable[str], context: Iterable[str]) -> tuple[Any, Any]:
    """What these properties and parts of the context, with what the step needs of it, are read into."""
    return (
        _with_fields("Properties", Properties, properties),
        _with_fields("Context", Context, set(context) - set(Context.__struct_fields__)),
    )


def _with_fields(name: str, base: type, fields: Iterable[str]) -> Any:
    names = sorted(fields)
    return msgspec.defstruct(
        name,
        [(attribute(field), Any, None) for field in names],
        bases=(base,),
        rename={attribute(field): field for field in names},
        gc=False,
    )
