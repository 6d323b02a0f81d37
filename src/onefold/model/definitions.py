"""What a workspace has defined: sources, traits, audiences, destinations; one version at a time."""

from msgspec import Struct

from onefold.model.identity import NOTHING, Identity

SHADOW = "@shadow"
"""Ends the names of traits and audiences that run in shadow; no name that people give has an `@`."""


def shadow_name(name: str) -> str:
    """What a trait or audience is called while it runs in shadow."""
    return name + SHADOW


def is_shadow(name: str) -> bool:
    """Whether a trait or audience of this name runs in shadow."""
    return name.endswith(SHADOW)


def live_name(name: str) -> str:
    """What it is called once it is live."""
    return name.removesuffix(SHADOW)


class Source(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where events come from. Write keys live in the catalog, not in files."""

    name: str
    kind: str = "http"
    enabled: bool = True


class Trait(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A named value of a profile, computed by an expression."""

    name: str
    expression: str
    description: str = ""


class Audience(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A boolean expression; profiles enter and leave it."""

    name: str
    expression: str
    description: str = ""


class Destination(Struct, frozen=True, omit_defaults=True):
    """Where effects and events are sent. Unknown fields are skipped: older versions had `allow_private`."""

    name: str
    kind: str = "webhook"
    url: str = ""
    events: tuple[str, ...] = ()
    """Names of the events to send (`*`: all); `page`, `identify`, … for those without a name."""
    audiences: tuple[str, ...] = ()
    """Audiences whose enter and leave effects to send (`*`: all)."""
    effects: tuple[str, ...] = ()
    """Other effects to send: `created`, `merged`, `split`, `changed`, `link_refused`, `moved`, `hot`, `rejected`."""
    timeout_s: float = 15.0
    concurrency: int = 16
    enabled: bool = True


class Definitions(Struct, frozen=True, omit_defaults=True):
    """Everything that a workspace directory defines. `version` 0 is the empty beginning."""

    version: int = 0
    sources: tuple[Source, ...] = ()
    traits: tuple[Trait, ...] = ()
    audiences: tuple[Audience, ...] = ()
    destinations: tuple[Destination, ...] = ()
    account_traits: tuple[Trait, ...] = ()
    """Named values of accounts, over the events that name them."""
    timezone: str = "UTC"
    """An IANA name: where the days and hours begin that expressions read by the calendar."""
    allow_private_hosts: tuple[str, ...] = ()
    """Hosts that are sent to although they resolve to a private, loopback or link-local address (`model.host`)."""
    identity: Identity = NOTHING
    """Which fields identify people, and when identifiers are one person."""
    coming: "Definitions | None" = None
    """What is to be in force next, once it is computed over history: its aggregates are gathered, nobody is judged."""
    quiet: tuple[str, ...] = ()
    """Traits and audiences of which no effect tells who has them just because this version came into force."""
    shadow: "Definitions | None" = None
    """What runs in shadow beside these: judged and counted where it differs, and told to nobody."""
    note: str = ""
    """Why this version was made, where that is not just that its content was applied."""
