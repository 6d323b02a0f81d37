"""One story told to a platform, whatever its engines, and all that it answers: by the command, by the API, in files.

Definitions come and go while people do things; every answer names people by their e-mail address, never by an id, so
that two platforms that were told the same story must give the same answers, whatever else is different in them.
"""

import csv
import json
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from onefold.limits import DAY_MS, HOUR_MS
from onefold.testing.roles import Roles
from onefold.testing.world import rfc3339
from tests.e2e.command import command

WITHIN_S = 120.0
PEOPLE = 12
FIRST = """
traits:
  orders: count("Order Completed")
audiences:
  buyers: orders > 0
"""
SECOND = """
timezone: Europe/Berlin
traits:
  orders: count("Order Completed")
  revenue: sum("Order Completed", properties.revenue)
  orders_2d: count("Order Completed", within="2d")
  favourite: most_frequent("Product Viewed", properties.category)
  days: days_active()
  sessions: session_count(gap="30m")
  bought_as_viewed: sequence_count("Product Viewed", "Order Completed", same=properties.sku, within="1d")
audiences:
  buyers: orders > 0
  spenders: revenue > 100 and orders_2d >= 1
  lookers: did("Product Viewed", at_least=3) and did_not("Order Completed", within="1d")
  both: in_audience("buyers") and in_audience("lookers")
"""
THIRD = SECOND.replace("revenue > 100", "revenue > 60").replace("days: days_active()", 'views: count("Product Viewed")')
PASSING = """
audiences:
  here: count("Knocked", within="2s") > 0
"""


class Site(NamedTuple):
    """A running platform."""

    roles: Roles
    environ: Mapping[str, str]
    write_key: str
    secret_key: str
    collects: Sequence[str]
    """Roles that take events; who sends goes round."""
    answers: Sequence[str]
    """Roles with the API."""

    def run(self, *words: str) -> Any:
        """What a command says with `--json`. Raises `AssertionError` with what it complained of."""
        answered = command(*words, "--json", environ=self.environ)
        text = answered.said
        assert not answered.code, (words, answered.complained, text)
        return [json.loads(line) for line in text.splitlines()] if words[0] == "query" else json.loads(text)

    def ask(self, path: str, body: Any = None, *, method: str = "", role: int = 0) -> Any:
        """What the API answers. Raises `HTTPError` where it refuses."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {self.secret_key}", "content-type": "application/json"}
        url = self.roles.url(self.answers[role % len(self.answers)]) + path
        request = urllib.request.Request(url, data, headers, method=method or ("GET" if data is None else "POST"))
        with urllib.request.urlopen(request, timeout=WITHIN_S) as answer:
            content = answer.read()
        return json.loads(content) if answer.headers["content-type"].startswith("application/json") else content

    def send(self, events: Sequence[Mapping[str, Any]], number: int = 0) -> str:
        """Send a batch; its receipt."""
        key = b64encode(f"{self.write_key}:".encode()).decode()
        url = self.roles.url(self.collects[number % len(self.collects)]) + "/v1/batch"
        headers = {"authorization": f"Basic {key}", "content-type": "application/json"}
        body = json.dumps({"batch": list(events)}).encode()
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=WITHIN_S) as answer:
            return str(answer.headers["onefold-receipt"])


def events(seed: int, now_ms: int) -> list[list[dict[str, Any]]]:
    """What happens in the days before an instant, in requests: late, twice, out of order; people become known later."""
    chance = Random(seed)
    happened: list[dict[str, Any]] = []
    for n in range(PEOPLE * 14):
        person = n % PEOPLE
        known = chance.random() < 0.6
        who = {"userId": f"u{person}"} if known else {"anonymousId": f"a{person}.{chance.randrange(2)}"}
        at_ms = now_ms - _age_ms(chance)
        name = chance.choice(("Product Viewed", "Product Viewed", "Order Completed"))
        properties = {"revenue": chance.randrange(1, 40), "category": chance.choice("abc"), "sku": chance.randrange(4)}
        happened.append(
            {
                "type": "track",
                "event": name,
                "messageId": f"m{n}",
                "timestamp": rfc3339(at_ms),
                "properties": properties,
            }
            | who
        )
    happened += [_known(person, device, now_ms) for person in range(PEOPLE) for device in range(2)]
    chance.shuffle(happened)
    happened += chance.sample(happened, 20)
    return [happened[n : n + 9] for n in range(0, len(happened), 9)]


def _known(person: int, device: int, now_ms: int) -> dict[str, Any]:
    return {
        "type": "identify", "messageId": f"i{person}.{device}", "userId": f"u{person}",
        "anonymousId": f"a{person}.{device}", "timestamp": rfc3339(now_ms - 7 * DAY_MS),
        "traits": {"email": email(person), "plan": "pro" if person % 3 else "free"},
    }  # fmt: skip


def _age_ms(chance: Random) -> int:
    """Up to six days, and no whole number of days: no window ends between the questions to one site and to another."""
    return chance.randrange(6) * DAY_MS + chance.randrange(HOUR_MS, DAY_MS - HOUR_MS)


def email(person: int) -> str:
    """Whose address it is."""
    return f"p{person}@example.com"


def told(site: Site, scratch: Path, requests: list[list[dict[str, Any]]]) -> dict[str, Any]:
    """Tell the story, and give every answer by what was asked."""
    scratch.mkdir()
    story = _Story(site, scratch)
    half = len(requests) // 2
    story.apply(FIRST)
    story.settle()
    story.send(requests[:half])
    story.answers["first"] = story.people()
    story.in_history(len({event["messageId"] for request in requests[:half] for event in request}))
    story.answers["preview"] = story.preview(SECOND)
    story.apply(SECOND, "--detach")
    story.send(requests[half:])
    story.in_force()
    story.answers["backfilled"] = story.people()
    story.answers["sizes"] = story.sizes()
    story.answers["why"] = [story.why(person, name) for person, name in enumerate(("spenders", "days", "both"))]
    story.shadow_and_back()
    story.over_http()
    story.answers["exports"] = story.exports("lookers")
    story.answers["queries"] = story.queries()
    return story.answers


class _Story:
    """It goes on; what was answered so far."""

    def __init__(self, site: Site, scratch: Path) -> None:
        self.site = site
        self.answers: dict[str, Any] = {}
        self._scratch = scratch
        self._applied = 0

    # --- what is done ----------------------------------------------------------------------------------------
    def apply(self, text: str, *words: str) -> Any:
        return self.site.run("apply", str(self._workspace(text)), "--yes", *words)

    def send(self, requests: list[list[dict[str, Any]]]) -> None:
        """With the receipts of all of them the next reader sees all."""
        receipts = [self.site.send(request, number) for number, request in enumerate(requests)]
        for role in range(len(self.site.answers)):
            for receipt in receipts:
                until(partial(self._folded, role, receipt))

    def _folded(self, role: int, receipt: str) -> bool:
        """Whether the API has what the receipt names; on a busy machine it says that it is to be asked again."""
        try:
            self.site.ask("/v1/profiles/batch", {"profiles": ["user_id:u0"], "after": receipt}, role=role)
        except urllib.error.HTTPError as error:
            if error.code not in (503, 504):
                raise
            return False
        return True

    def in_force(self) -> None:
        """What is to come has come, and everybody was judged by it."""
        until(lambda: self._refused("/v1/definitions/backfill") == 404)
        self.settle()

    def settle(self) -> None:
        """Every partition is under the latest version, and all its people have been judged."""

        def settled() -> bool:
            found = self.site.ask("/v1/definitions/versions")
            return set(found["in_force"]) == {found["versions"][-1]["version"]} and self._judged()

        until(settled)

    def in_history(self, admitted: int) -> None:
        """History has so many events: all there are."""
        until(lambda: self.site.run("query", "SELECT count(*) AS n FROM events")[0]["n"] == admitted)

    def _judged(self) -> bool:
        version = self.site.ask("/v1/definitions")["version"]
        known = filter(None, map(self._profile, range(PEOPLE)))
        return all(profile["definitions_version"] == version for profile in known)

    def shadow_and_back(self) -> None:
        """A candidate in shadow, what it would do, promoted, and rolled back."""
        version = self.site.ask("/v1/definitions")["version"]
        self.apply(THIRD, "--shadow")
        self.in_force()
        until(lambda: bool(self.site.ask("/v1/definitions/shadow")["settled"]))
        shown = self.site.run("shadow", "show")
        self.answers["shadow"] = {key: shown[key] for key in ("changes", "audiences")}
        moves = self.site.ask("/v1/audiences/spenders/moves")
        self.answers["moves"] = {key: moves[key] for key in ("staying", "entering", "leaving")}
        self.site.run("shadow", "promote", "--yes")
        self.in_force()
        self.answers["promoted"] = self.people()
        self.site.ask("/v1/definitions/rollback", {"version": version})
        self.in_force()
        self.answers["rolled back"] = self.people()
        self.answers["versions"] = [
            (one["note"], one["changes"]) for one in self.site.run("versions", "list") if "computes" not in one["note"]
        ]

    def over_http(self) -> None:
        """A change by its version, first dry, then computed over history; who comes with the version before is late."""
        version = self.site.ask("/v1/definitions")["version"]
        change = {"traits": [{"name": "dear", "expression": 'max("Order Completed", properties.revenue)'}]}
        dry = self.site.ask("/v1/definitions", {**change, "version": version, "dry_run": True})
        saved = self.site.ask("/v1/definitions", {**change, "version": version})
        assert (dry["coming"], dry["saved"], saved["coming"], saved["saved"]) == (True, False, True, True)
        assert dry["changes"] == saved["changes"]
        self.in_force()
        assert self._refused("/v1/definitions", {**change, "version": version}) == 412
        self.answers["over http"] = (saved["changes"], self.people())

    def _refused(self, path: str, body: Any = None) -> int:
        try:
            self.site.ask(path, body)
        except urllib.error.HTTPError as error:
            return error.code
        return 0

    # --- what is asked -----------------------------------------------------------------------------------------
    def people(self) -> list[Any]:
        """All that is known of everyone, but for ids and times of arrival; None: nobody has heard of them yet."""
        return [self._person(self._profile(person)) for person in range(PEOPLE)]

    def _profile(self, person: int) -> Any:
        try:
            return self.site.ask(f"/v1/profiles/user_id:u{person}", role=person)
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return None

    def _person(self, profile: Any) -> Any:
        return profile and (
            {namespace: sorted(one["value"] for one in values) for namespace, values in profile["identifiers"].items()},
            profile["traits"],
            profile["computed"],
            sorted(one["name"] for one in profile["audiences"]),
            profile["events"],
        )

    def preview(self, text: str) -> list[Any]:
        found = self.site.run("preview", str(self._workspace(text)), "--samples", "0", "--days", "3")
        return [
            (one["name"], one["change"], one["people"], one["before"], one["enters"]["people"], one["leaves"]["people"],
             [day["people"] for day in one["movement"]["days"]])
            for one in found["audiences"]
        ]  # fmt: skip

    def sizes(self) -> dict[str, int]:
        """Audience → people."""
        return {one["name"]: one["size"] for one in self.site.ask("/v1/audiences")["audiences"]}

    def why(self, person: int, name: str) -> Any:
        """The command's explanation and the API's are one; what decided it, by the messages' own ids."""
        said = self.site.run("why", f"user_id:u{person}", name)
        asked = self.site.ask(f"/v1/profiles/user_id:u{person}/why/{name}")
        assert _timeless(asked) == _timeless(said)
        return _timeless(said)

    def exports(self, audience: str) -> Any:
        include = "identifiers.email,traits.plan,computed.orders,computed.favourite"
        found = {}
        for form in ("csv", "ndjson", "parquet"):
            file = self._scratch / f"out.{form}"
            file.write_bytes(self.site.ask(f"/v1/audiences/{audience}/export.{form}?include={include}"))
            found[form] = _rows(file)
        file = self._scratch / "command.csv"
        self.site.run("audience", "export", audience, "-o", str(file), "--include", include)
        assert _rows(file) == found["csv"]
        assert found["csv"]
        assert len({len(rows) for rows in found.values()}) == 1
        return found

    def queries(self) -> Any:
        """History and the state by SQL; by then history has everything."""
        by_email = "JOIN identifiers i USING (profile) WHERE i.namespace = 'email'"
        asked = {
            "revenue": f"SELECT i.value, sum((properties->>'revenue')::BIGINT) AS sum FROM events {by_email} "
            "AND name = 'Order Completed' GROUP BY 1 ORDER BY 1",
            "members": f"SELECT i.value, audience FROM memberships {by_email} ORDER BY 1, 2",
            "events": "SELECT name, count(*) AS n FROM events GROUP BY name ORDER BY name",
            "profiles": f"SELECT i.value, events, computed->>'orders' AS orders FROM profiles {by_email} ORDER BY 1",
        }
        self.in_history(sum(profile[-1] for profile in self.people()))
        return {what: self.site.run("query", sql) for what, sql in asked.items()}

    def _workspace(self, text: str) -> Path:
        self._applied += 1
        path = self._scratch / f"{self._applied}"
        path.mkdir()
        (path / "all.yaml").write_text(text)
        return path


def leaves_by_time_alone(site: Site, scratch: Path) -> float:
    """Somebody enters an audience and leaves it, with nobody sending anything: for how many seconds they were in it."""
    scratch.mkdir()
    story = _Story(site, scratch)
    story.apply(PASSING, "--from-now")
    story.in_force()
    site.send([{"type": "track", "event": "Knocked", "userId": "u0"}])
    until(lambda: story.sizes()["here"] == 1)
    began_s = time.monotonic()
    until(lambda: story.sizes()["here"] == 0)
    return time.monotonic() - began_s


def until(true: Callable[[], bool], within_s: float = WITHIN_S) -> None:
    """Look again and again until it is so."""
    deadline_s = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline_s, "did not come true in time"
        time.sleep(0.05)


def _rows(file: Path) -> list[Any]:
    if file.suffix == ".csv":
        with file.open(newline="") as lines:
            rows = [[*row][2:] for row in csv.reader(lines)][1:]
    elif file.suffix == ".ndjson":
        rows = [[*json.loads(line).values()][2:] for line in file.read_text().splitlines()]
    else:
        import pyarrow.parquet

        rows = [[*row.values()][2:] for row in pyarrow.parquet.read_table(file).to_pylist()]
    return sorted(rows, key=json.dumps)


_OF_NOW = ("profile", "at", "since", "definitions_version", "applied_at", "applied_by", "late_since")
_OF_PLACES = ("id", "received_at", "window_from", "window_until")


def _timeless(found: Any) -> Any:
    """An explanation without ids, and without what depends on when and where it was asked."""
    return {key: _placeless(value) for key, value in found.items() if key not in _OF_NOW}


def _placeless(found: Any) -> Any:
    if isinstance(found, dict):
        return {key: _placeless(value) for key, value in found.items() if key not in _OF_PLACES}
    return [_placeless(one) for one in found] if isinstance(found, list) else found
