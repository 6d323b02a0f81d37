"""The browser SDKs of Segment and RudderStack, unmodified, loaded as the docs say, in Chromium, on a real platform."""

import json
import re
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

from tests.e2e import chromium
from tests.e2e.chromium import Chromium, Site
from tests.e2e.platform import Platform, eventually

HERE = Path(__file__).parent
NPM = HERE / "node" / "node_modules"
FOLDERS = {
    "/analytics-next/bundles/": NPM / "@segment" / "analytics-next" / "dist" / "umd",
    "/rudderstack/": NPM / "@rudderstack" / "analytics-js" / "dist" / "npm" / "modern" / "bundled" / "umd",
    "/": HERE / "site",
}
DOCS = (HERE.parents[1] / "docs" / "collect.md").read_text()
DOCS_HOST = "https://cdp.example.com"
KEEPALIVE = "{ deliveryStrategy: { config: { keepalive: true } } }"
BEACON = "useBeacon: true, beaconQueueOptions: { flushQueueInterval: 1000 }"

pytestmark = [
    pytest.mark.services,
    pytest.mark.skipif(bool(chromium.unavailable()), reason=chromium.unavailable()),
    pytest.mark.skipif(
        not all(folder.exists() for folder in FOLDERS.values()),
        reason="needs the npm packages of tests/e2e/node; `make test-services` installs them",
    ),
]


class Case(NamedTuple):
    """A snippet of docs/collect.md, what is changed in it, and what then holds."""

    sdk: str
    options: tuple[str, str]
    """What stands in the snippet, and what in its place."""
    burst: int
    at_once: bool
    """What is tracked while its tab is closed is in the log before the next visit."""


CASES = {
    "segment as documented": Case("analytics-next", (KEEPALIVE, KEEPALIVE), 25, at_once=True),
    "segment plain": Case("analytics-next", (KEEPALIVE, "{}"), 150, at_once=False),
    "segment batching": Case(
        "analytics-next",
        (KEEPALIVE, "{ deliveryStrategy: { strategy: 'batching', config: { timeout: 500 } } }"),
        150,
        at_once=True,
    ),
    "rudder as documented": Case("rudderstack", (BEACON, BEACON), 15, at_once=True),
    "rudder plain": Case("rudderstack", (BEACON, ""), 90, at_once=False),
}


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    """A running platform."""
    with Platform() as running:
        yield running


@pytest.mark.parametrize("name", CASES)
def test_every_event_arrives_once_and_whole(name: str, platform: Platform) -> None:
    """Two visits of one person, the first ended by closing the tab: each event once, whole, in the person's profile."""
    case = CASES[name]
    user = name.replace(" ", "-")
    with shop(case, user, platform) as site, Chromium(f"{site.url}/tab.html"):
        site.go_on()
        given = [*loaded("first"), *visit(site)]
        eventually(lambda: len(stored(platform, user)) == len(given))
        given += leave(site)
        if case.at_once:
            eventually(lambda: len(stored(platform, user)) == len(given))
        site.go_on()
        given += [*loaded("second"), *visit(site)]
        eventually(lambda: len(stored(platform, user)) == len(given), within_s=60.0)
    assert differences([as_sent(case.sdk, event) for event in given], stored(platform, user)) == []
    assert not [entry for entry in platform.entries() if entry.get("rejected")]
    anonymous = {event["anonymousId"] for event in stored(platform, user)}
    assert len(anonymous) == 1
    names = {
        f"user_id:{user}",
        f"email:{user}@example.com",
        *(f"anonymous_id:{each}" for each in (*anonymous, f"{user}-before")),
    }
    eventually(lambda: [profile(platform, each).get("events") for each in names] == [len(given)] * len(names))
    person = profile(platform, f"user_id:{user}")
    assert identifiers(person) == names
    assert all(profile(platform, each) == person for each in names)
    assert person["traits"] == declared(given)


@pytest.mark.parametrize("name", ["segment as documented", "rudder as documented"])
def test_a_wrong_key_is_told_on_the_console(name: str, platform: Platform) -> None:
    """Whoever looks why nothing arrives reads the platform's own words in the browser's console."""
    with shop(CASES[name], "nobody", platform, write_key="wk_wrong") as site, Chromium(f"{site.url}/shop") as browser:
        eventually(lambda: "invalid write key" in "\n".join(browser.console()))


def shop(case: Case, user: str, platform: Platform, write_key: str = "") -> Site:
    """The site whose page is the documented snippet and `site/shop.js`, under the documented policy."""
    there, here = case.options
    snippet = next(block for block in re.findall(r"```html\n(.*?)```", DOCS, re.DOTALL) if case.sdk in block)
    assert there in snippet
    snippet = snippet.replace(there, here).replace("wk_…", write_key or platform.write_key)
    page = (
        f'<!doctype html><html data-user="{user}" data-burst="{case.burst}"><meta charset="utf-8">'
        f'{snippet}<script src="/shop.js"></script></html>'
    )
    (policy,) = re.findall(r"`(default-src [^`]+)`", DOCS)
    policy += "; script-src 'self' 'unsafe-inline'"
    return Site({"/shop": page.replace(DOCS_HOST, platform.url)}, FOLDERS, policy.replace(DOCS_HOST, platform.url))


def visit(site: Site) -> list[dict[str, Any]]:
    """What the page in the tab says that it gave to the SDK."""
    said = site.happened()
    assert "given" in said, said
    return list(said["given"])


def leave(site: Site) -> list[dict[str, Any]]:
    """Close the tab, and return what it tracked as it went."""
    site.go_on()
    last = visit(site)
    assert "closed" in site.happened()
    return last


def loaded(visit: str) -> list[dict[str, Any]]:
    """What loading the page gives: the call in the snippet, and what the link to the page says in its query."""
    return [
        {"type": "page", "category": "Shop", "name": "Home", "properties": {"from": "snippet"}},
        {"type": "track", "event": "Mail Clicked", "properties": {"n": f"mail-{visit}"}},
    ]


def stored(platform: Platform, user: str) -> list[dict[str, Any]]:
    """The events in the log of a user's browser, each `messageId` once: what the SDK sends again is a duplicate."""
    events = platform.events()
    browsers = {event["anonymousId"] for event in events if event.get("userId") == user}
    return list({event["messageId"]: event for event in events if event["anonymousId"] in browsers}.values())


def as_sent(sdk: str, event: dict[str, Any]) -> dict[str, Any]:
    """A call as its SDK writes it: RudderStack's puts the traits of a person into the context."""
    if sdk != "rudderstack" or event["type"] != "identify":
        return event
    return {
        **{name: value for name, value in event.items() if name != "traits"},
        "context": {"traits": event["traits"]},
    }


def differences(given: list[dict[str, Any]], found: list[dict[str, Any]]) -> list[str]:
    """What was given and is not stored so, or not as often; an SDK may add fields."""
    kinds = Counter(map(_kind, given)), Counter(map(_kind, found))
    by_kind = {_kind(event): event for event in found}
    wrong = [f"{kind}: {count}" for kind, count in ((kinds[0] - kinds[1]) + (kinds[1] - kinds[0])).items()]
    return wrong or [each for event in given for each in missing(event, by_kind[_kind(event)])]


def missing(given: Any, found: Any, at: str = "$") -> list[str]:
    """Paths of what was given and is not there as it was."""
    if isinstance(given, dict) and isinstance(found, dict):
        return [each for name, value in given.items() for each in missing(value, found.get(name), f"{at}.{name}")]
    return [] if given == found else [f"{at}: {found!r}"]


def declared(given: list[dict[str, Any]]) -> dict[str, Any]:
    """The traits that the calls declare: those of `identify` that are not null, and the group."""
    person, group = (next(event for event in given if event["type"] == kind) for kind in ("identify", "group"))
    kept = {name: value for name, value in person["traits"].items() if value is not None}
    return {**kept, "group": {"id": group["groupId"], **group["traits"]}}


def profile(platform: Platform, name: str) -> dict[str, Any]:
    """A profile by the public API; empty where there is none yet."""
    url = f"{platform.url}/v1/profiles/{quote(name, safe='')}"
    request = urllib.request.Request(url, headers={"authorization": f"Bearer {platform.secret_key}"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return dict(json.load(answer))
    except urllib.error.HTTPError as refused:
        if refused.code != 404:
            raise
        return {}


def identifiers(person: dict[str, Any]) -> set[str]:
    """All that names a person."""
    return {f"{space}:{each['value']}" for space, values in person["identifiers"].items() for each in values}


def _kind(event: dict[str, Any]) -> tuple[str, Any, Any]:
    return event["type"], event.get("event") or event.get("name"), (event.get("properties") or {}).get("n")
