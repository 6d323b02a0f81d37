"""What a world is like, as figures: one YAML file an industry, each figure with its source or called assumed.

Shares are of 1, unless their names say of what.
"""

from pathlib import Path

import msgspec
from msgspec import Struct

INDUSTRIES = ("retail", "telecom", "finance", "media")
_HERE = Path(__file__).parent


class Households(Struct, frozen=True, forbid_unknown_fields=True):
    """Who lives together."""

    sizes: tuple[float, ...]
    """Share of the households with 1, 2, 3 … people."""
    one_family_name: float
    namesakes: float
    """Share of the children who bear the given name of a parent."""
    moves_a_year: float
    landline: float
    """Share that has a phone of all, which they give as their own now and then."""
    one_email: float
    """Share of the couples who give one e-mail address for both."""


class Devices(Struct, frozen=True, forbid_unknown_fields=True):
    """What people use, and how long it knows them."""

    phone: float
    laptop: float
    app: float
    """Share of the phones with the app on them."""
    tablet: float
    """Share of the households of two or more with a tablet for all."""
    tablet_sessions: float
    """Share of the sessions that those who have it do on it."""
    borrowed: float
    """Share of the sessions on a device of somebody else of the household."""
    cookie_lost: float
    """Chance a session that a browser has forgotten whom it knew."""
    app_reinstalled: float
    kiosk_sessions: float
    """Share of the sessions at a terminal in a shop."""
    kiosk_resets: float
    """Chance that a terminal forgets who was there before the next one comes."""
    kiosks: int


class Accounts(Struct, frozen=True, forbid_unknown_fields=True):
    """Who can sign in, and does."""

    have: float
    """Share of the people who open one in the time, at some session."""
    second: float
    """Share of them who forget, and open another."""
    sign_in: float
    """Chance a session, where nobody is signed in."""
    sign_out: float
    """Chance at the end of a session on a device of one's own."""
    sign_out_shared: float
    switches: float
    """Chance that who finds another signed in signs in instead."""
    phone_given: float
    birthday_given: float
    address_given: float


class Visits(Struct, frozen=True, forbid_unknown_fields=True):
    """What people do, and how often."""

    sessions_a_month: float
    """Of the median person; it differs from person to person by a log-normal factor with this sigma:"""
    spread: float
    events_a_session: float
    orders: float
    """Chance a session that it ends with an order."""
    newsletter: float
    """Chance a session, of those who are not signed in, to leave one's e-mail and nothing else."""
    store_a_month: float
    calls_a_month: float


class Counter(Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of whom is met in person or on the phone."""

    card: float
    """Share of the people who carry a card of the shop."""
    card_shown: float
    email_given: float
    """Chance that who shows no card leaves an e-mail for the receipt."""
    details_given: float
    """Chance that who does neither leaves name, phone and address, for a delivery."""
    caller_found: float
    """Chance that an agent finds the account of who calls, and writes the call down there."""
    birthday_asked: float


class Contacts(Struct, frozen=True, forbid_unknown_fields=True):
    """What changes in people's lives."""

    email_changes_a_year: float
    phone_changes_a_year: float
    family_name_changes_a_year: float


class Errors(Struct, frozen=True, forbid_unknown_fields=True):
    """What goes wrong when details are typed; each a chance for one field, once."""

    by_customer: float
    """How much of the following happens to those who type their own."""
    by_staff: float
    typo: float
    swapped_names: float
    nickname: float
    initial: float
    date: float
    missing: float
    former: float
    """Chance that a detail is given as it was before it changed."""


class Parameters(Struct, frozen=True, forbid_unknown_fields=True):
    """A world."""

    industry: str
    people: int
    days: int
    households: Households
    devices: Devices
    accounts: Accounts
    visits: Visits
    counter: Counter
    contacts: Contacts
    errors: Errors


def load(industry: str) -> Parameters:
    """The figures of an industry. Raises `msgspec.ValidationError` where the file does not say them all."""
    return msgspec.yaml.decode((_HERE / f"{industry}.yaml").read_bytes(), type=Parameters)


def noisier(parameters: Parameters, factor: float) -> Parameters:
    """The same world with so many times as many errors in what is typed."""
    errors = parameters.errors
    changed = msgspec.structs.replace(
        errors, by_customer=errors.by_customer * factor, by_staff=errors.by_staff * factor
    )
    return msgspec.structs.replace(parameters, errors=changed)


def apart(parameters: Parameters) -> Parameters:
    """The same world with nobody who gives a partner's e-mail or the household's phone as their own."""
    changed = msgspec.structs.replace(parameters.households, one_email=0.0, landline=0.0)
    return msgspec.structs.replace(parameters, households=changed)


def sharing(parameters: Parameters, factor: float) -> Parameters:
    """The same world with so many times as much done on shared tablets, terminals and others' devices."""
    devices = parameters.devices
    changed = msgspec.structs.replace(
        devices,
        tablet=min(1.0, devices.tablet * factor),
        borrowed=min(0.5, devices.borrowed * factor),
        kiosk_sessions=min(0.5, devices.kiosk_sessions * factor),
    )
    return msgspec.structs.replace(parameters, devices=changed)
