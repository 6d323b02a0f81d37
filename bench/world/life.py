"""What a household does, day by day: sessions on its devices, orders, shops, calls; all that it sends, in order."""

from collections.abc import Iterator
from random import Random
from typing import Any

from msgspec import Struct

from bench.world.parameters import Parameters
from bench.world.people import Household, Person, at
from bench.world.truth import NOBODY, Happening, Truth
from bench.world.typing_errors import Details, typed

DAY_MS = 86_400_000
MINUTE_MS = 60_000
_REGISTERS = 0.3
"""Chance a session that who will have an account opens it."""
_KNOWN_BEFORE = 0.6
"""Share of the accounts that were there before, and come as an import on the first day."""
_ADDS_CARD = 0.4
"""Share of those with a card who add it to the account that they open."""
_GIVES_LANDLINE = 0.15
_PAGES = ("Product Viewed", "Product List Viewed", "Product Added", "Products Searched")


class Browser(Struct):
    """Something that keeps a cookie, or an app with an id of the device."""

    name: str
    owner: int
    device: str = ""
    """The device's own id, where it is an app."""
    number: int = 0
    """How often it has forgotten."""
    user: str = ""
    """The account that is signed in."""
    user_of: int = NOBODY

    @property
    def anonymous(self) -> str:
        """The anonymous id in its cookie."""
        return f"{self.name}-{self.number}"

    def forget(self) -> None:
        """A new cookie; nobody is signed in."""
        self.number += 1
        self.user, self.user_of = "", NOBODY


class _Member(Struct):
    """A person, with what they own and have opened."""

    person: Person
    browsers: list[Browser]
    will_register: bool
    forgetful: bool
    card: str
    accounts: list[str]
    card_known: bool = False


class Life:
    """One household's events. Two lives share nothing but the terminals in the shops."""

    def __init__(self, parameters: Parameters, household: Household, seed: int, begin_ms: int) -> None:
        self._figures = parameters
        self._household = household
        self._begin_ms = begin_ms
        self._chance = Random(f"life {seed} {household.number}")
        self._sent = 0
        self._day = 0
        self._members = [self._member(person) for person in household.people]
        several = len(household.people) > 1
        has_tablet = several and self._chance.random() < parameters.devices.tablet
        self._tablet = Browser(f"t{household.number}", NOBODY) if has_tablet else None

    def happenings(self) -> Iterator[Happening]:
        """All of them, in order of time."""
        for day in range(self._figures.days):
            self._day = day
            visits = self._visits()
            if day == 0:
                visits += [(self._moment(), n, "import") for n, each in enumerate(self._members) if each.accounts]
            today: list[Happening] = []
            for at_ms, n, kind in sorted(visits):
                today += getattr(self, f"_{kind}")(self._members[n], at_ms)
            today.sort(key=lambda happening: happening.at_ms)
            yield from today

    # --- who and when -----------------------------------------------------------------------------------------
    def _member(self, person: Person) -> _Member:
        chance, devices, accounts = self._chance, self._figures.devices, self._figures.accounts
        n = person.number
        browsers = []
        if chance.random() < devices.phone:
            browsers.append(Browser(f"p{n}", n))
            if chance.random() < devices.app:
                browsers.append(Browser(f"a{n}", n, device=f"d{n}"))
        if chance.random() < devices.laptop or not browsers:
            browsers.append(Browser(f"l{n}", n))
        will = person.adult and chance.random() < accounts.have
        known = will and chance.random() < _KNOWN_BEFORE
        card = f"c{n}" if person.adult and chance.random() < self._figures.counter.card else ""
        return _Member(person, browsers, will, chance.random() < accounts.second, card, [f"u{n}"] if known else [])

    def _visits(self) -> list[tuple[int, int, str]]:
        chance, visits = self._chance.random, self._figures.visits
        session, store, call = visits.sessions_a_month / 30, visits.store_a_month / 30, visits.calls_a_month / 30
        found = []
        for n, member in enumerate(self._members):
            activity = member.person.activity
            found += [(self._moment(), n, "session") for _ in range(int(session * activity + chance()))]
            if member.person.adult:
                if chance() < store * activity:
                    found.append((self._moment(), n, "store"))
                if chance() < call * activity:
                    found.append((self._moment(), n, "call"))
        return found

    def _moment(self) -> int:
        """Between seven in the morning and half past ten at night."""
        return self._begin_ms + self._day * DAY_MS + int((7 + 15.5 * self._chance.random()) * 60 * MINUTE_MS)

    # --- on a screen -------------------------------------------------------------------------------------------
    def _session(self, member: _Member, at_ms: int) -> Iterator[Happening]:
        browser = self._browser(member)
        yield from self._sign_in(member, browser, at_ms)
        figures, chance = self._figures.visits, self._chance
        if not browser.user and chance.random() < figures.newsletter:
            at_ms += MINUTE_MS // 2
            traits = {"email": self._email(member)}
            yield self._from(browser, member, at_ms, {"type": "identify", "traits": traits}, says=member.person.number)
        for _ in range(1 + int(chance.expovariate(1 / figures.events_a_session))):
            at_ms += chance.randrange(2_000, 90_000)
            yield self._from(browser, member, at_ms, self._look())
        if chance.random() < figures.orders:
            yield from self._order(member, browser, at_ms + MINUTE_MS)
        own = browser.owner == member.person.number
        accounts = self._figures.accounts
        if browser.user and chance.random() < (accounts.sign_out if own else accounts.sign_out_shared):
            browser.user, browser.user_of = "", NOBODY

    def _browser(self, member: _Member) -> Browser:
        """The one that is used, with what it still knows."""
        chance, devices = self._chance, self._figures.devices
        drawn = chance.random()
        if drawn < devices.kiosk_sessions:
            return self._terminal(member)
        if self._tablet is not None and drawn < devices.kiosk_sessions + devices.tablet_sessions:
            browser = self._tablet
        elif len(self._members) > 1 and chance.random() < devices.borrowed:
            browser = chance.choice(chance.choice(self._members).browsers)
        else:
            browser = chance.choice(member.browsers)
        if chance.random() < (devices.app_reinstalled if browser.device else devices.cookie_lost):
            browser.forget()
        return browser

    def _terminal(self, member: _Member) -> Browser:
        """One in a shop: as new, or as whoever was there before has left it, but for being signed in."""
        devices = self._figures.devices
        name = f"k{self._chance.randrange(devices.kiosks)}"
        if self._chance.random() < devices.kiosk_resets:
            name += f"-{member.person.number}-{self._sent}"
        return Browser(name, NOBODY)

    def _sign_in(self, member: _Member, browser: Browser, at_ms: int) -> Iterator[Happening]:
        chance, figures, number = self._chance.random, self._figures.accounts, member.person.number
        if browser.user and browser.user_of != number:
            if chance() >= figures.switches:
                return
            browser.user, browser.user_of = "", NOBODY
        if browser.user:
            return
        forgot = member.forgetful and len(member.accounts) == 1 and chance() < _REGISTERS
        if (member.will_register and not member.accounts and chance() < _REGISTERS) or forgot:
            member.accounts.append(f"u{number}" if not member.accounts else f"u{number}x")
            self._enter(browser, member)
            yield self._from(browser, member, at_ms, self._registration(member))
        elif member.accounts and chance() < figures.sign_in:
            self._enter(browser, member)
            event = {"type": "identify", "traits": {"email": self._account_email(member)}}
            yield self._from(browser, member, at_ms, event)

    def _enter(self, browser: Browser, member: _Member) -> None:
        browser.user, browser.user_of = member.accounts[-1], member.person.number

    def _account_email(self, member: _Member) -> str:
        """That of the latest account: a second one was opened with another address."""
        email = at(self._day, member.person.emails)
        if len(member.accounts) == 1:
            return email
        return f"{email.partition('@')[0]}.{member.person.number}@mail.example"

    def _registration(self, member: _Member) -> dict[str, Any]:
        figures, chance = self._figures.accounts, self._chance.random
        details = self._details(member)
        details["email"] = self._account_email(member)
        for field, share in (
            ("phone", figures.phone_given), ("birthday", figures.birthday_given), ("address", figures.address_given)
        ):  # fmt: skip
            if chance() >= share:
                del details[field]
        errors = self._figures.errors
        found = typed(details, errors, errors.by_customer, self._chance) | {"email": details["email"]}  # it is verified
        event: dict[str, Any] = {"type": "identify", "traits": found}
        if member.card and chance() < _ADDS_CARD:
            event["context"] = {"externalIds": [_card(member.card)]}
        return event

    def _order(self, member: _Member, browser: Browser, at_ms: int) -> Iterator[Happening]:
        if not browser.user:
            details = self._details(member, former=True)
            del details["birthday"]
            errors = self._figures.errors
            traits = typed(details, errors, errors.by_customer, self._chance)
            event = {"type": "identify", "traits": traits}
            yield self._from(browser, member, at_ms, event, says=member.person.number)
        properties = {"order_id": f"o{self._household.number}-{self._sent}", "revenue": self._price()}
        event = {"type": "track", "event": "Order Completed", "properties": properties}
        yield self._from(browser, member, at_ms + 1_000, event)

    def _look(self) -> dict[str, Any]:
        name = self._chance.choice(_PAGES)
        return {"type": "track", "event": name, "properties": {"product_id": f"p{self._chance.randrange(5_000)}"}}

    def _price(self) -> float:
        return round(self._chance.lognormvariate(3.5, 0.8), 2)

    # --- in person, on the phone -------------------------------------------------------------------------------
    def _import(self, member: _Member, at_ms: int) -> Iterator[Happening]:
        """What the shop knew of an account before."""
        event = self._registration(member)
        account = member.accounts[0]
        yield self._sent_by(member, at_ms, event | {"userId": account}, f"user_id:{account}", says=member.person.number)

    def _store(self, member: _Member, at_ms: int) -> Iterator[Happening]:
        figures, chance, number = self._figures.counter, self._chance.random, member.person.number
        bought = {"type": "track", "event": "Order Completed", "properties": {"revenue": self._price(), "store": True}}
        if member.card and chance() < figures.card_shown:
            its = {"anonymousId": f"card-{member.card}", "context": {"externalIds": [_card(member.card)]}}
            record = f"loyalty_card:{member.card}"
            if not member.card_known:
                member.card_known = True
                applied = {"type": "identify", "traits": self._written(member, birthday=True)}
                yield self._sent_by(member, at_ms, its | applied, record, says=number)
            yield self._sent_by(member, at_ms + MINUTE_MS, its | bought, record, says=number)
            return
        receipt = f"pos-{self._household.number}-{self._sent}"
        record, its = f"anonymous_id:{receipt}", {"anonymousId": receipt}
        says = NOBODY
        traits: Details = {}
        if chance() < figures.email_given:
            errors = self._figures.errors
            traits = typed({"email": self._email(member)}, errors, errors.by_staff, self._chance)
        elif chance() < figures.details_given:
            traits = self._written(member, birthday=False)
        if traits:
            says = number
            yield self._sent_by(member, at_ms, its | {"type": "identify", "traits": traits}, record, says=says)
        yield self._sent_by(member, at_ms + 1_000, its | bought, record, says=says)

    def _call(self, member: _Member, at_ms: int) -> Iterator[Happening]:
        figures, chance, number = self._figures.counter, self._chance.random, member.person.number
        event = {"type": "track", "event": "Call Answered", "properties": {"minutes": 1 + self._chance.randrange(20)}}
        if member.accounts and chance() < figures.caller_found:
            account = member.accounts[0]
            yield self._sent_by(member, at_ms, event | {"userId": account}, f"user_id:{account}", says=number)
            return
        case = f"case-{self._household.number}-{self._sent}"
        traits = self._written(member, birthday=chance() < figures.birthday_asked)
        for each in ({"type": "identify", "traits": traits}, event):
            yield self._sent_by(member, at_ms, each | {"anonymousId": case}, f"anonymous_id:{case}", says=number)
            at_ms += MINUTE_MS

    def _written(self, member: _Member, *, birthday: bool) -> Details:
        """Details as staff write them down: no e-mail is asked for."""
        details = self._details(member, former=True)
        del details["email"]
        if not birthday:
            del details["birthday"]
        errors = self._figures.errors
        return typed(details, errors, errors.by_staff, self._chance)

    # --- what is sent ------------------------------------------------------------------------------------------
    def _details(self, member: _Member, *, former: bool = False) -> Details:
        """Everything about a person as it is today; or, now and then, one thing as it was before."""
        person, day = member.person, self._day
        errors = self._figures.errors
        old = former and self._chance.random() < errors.former
        phone = at(0 if old else day, person.phones)
        if self._household.landline and self._chance.random() < _GIVES_LANDLINE:
            phone = self._household.landline
        moved = [address for since, address in self._household.addresses if since <= (0 if old else day)]
        return {
            "firstName": person.given,
            "lastName": at(day, person.family),
            "birthday": person.born,
            "phone": phone,
            "email": at(0 if old else day, person.emails),
            "address": moved[-1].details(),
        }

    def _email(self, member: _Member) -> str:
        return at(self._day, member.person.emails)

    def _from(
        self, browser: Browser, member: _Member, at_ms: int, event: dict[str, Any], says: int = NOBODY
    ) -> Happening:
        """Send an event from a browser or app."""
        anonymous = browser.anonymous
        event["anonymousId"] = anonymous
        if browser.user:
            event["userId"] = browser.user
            says = browser.user_of
        if browser.device:
            event.setdefault("context", {})["device"] = {"id": browser.device}
        return self._send(member, at_ms, event, (f"anonymous_id:{anonymous}", browser.owner), says)

    def _sent_by(self, member: _Member, at_ms: int, event: dict[str, Any], record: str, says: int) -> Happening:
        """Send an event from a shop, a call centre or a server."""
        return self._send(member, at_ms, event, (record, member.person.number), says)

    def _send(
        self, member: _Member, at_ms: int, event: dict[str, Any], record: tuple[str, int], says: int
    ) -> Happening:
        event["messageId"] = f"{self._household.number}-{self._sent}"
        self._sent += 1
        return Happening(at_ms, event, Truth(member.person.number, self._household.number, *record, says))


def _card(number: str) -> dict[str, str]:
    return {"id": number, "type": "loyalty_card", "collection": "users", "encoding": "none"}
