"""Decoders that read of each event just what the step and the definitions use, and skip the rest.

An event then costs by what is asked of it, not by what its sender put into it.
"""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from onefold.model.entry import Defined, Entry, Received, Ruled, Sweep, Tick
from onefold.model.event import Context, Excerpt, Properties


def attribute(field: str) -> str:
    """The attribute that holds a field which definitions mention: a plain name that meets none of ours."""
    return f"f_{field}" if field.isascii() and field.isidentifier() else f"x_{field.encode().hex()}"


def decoder(properties: Iterable[str], context: Iterable[str]) -> Callable[[bytes], Entry]:
    """A decoder of entries whose events carry these properties and parts of the context, and what the step needs.

    It raises `msgspec.MsgspecError` where the bytes are no entry.
    """
    properties_type = _with_fields("Properties", Properties, properties)
    context_type = _with_fields("Context", Context, set(context) - set(Context.__struct_fields__))
    excerpt = msgspec.defstruct(
        "Excerpt",
        [("properties", properties_type | None, None), ("context", context_type | None, None)],
        bases=(Excerpt,),
        gc=False,
    )
    received = msgspec.defstruct(
        "Received",
        [("events", list[excerpt])],  # type: ignore[valid-type]  # made just above
        bases=(Received,),
        tag="received",
        tag_field="kind",
        kw_only=True,
    )
    kinds: Any = received | Tick | Defined | Ruled | Sweep
    return msgspec.json.Decoder(kinds).decode


def _with_fields(name: str, base: type, fields: Iterable[str]) -> Any:
    names = sorted(fields)
    return msgspec.defstruct(
        name,
        [(attribute(field), Any, None) for field in names],
        bases=(base,),
        rename={attribute(field): field for field in names},
        gc=False,
    )
