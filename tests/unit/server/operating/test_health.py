"""Health, metrics and pressure: what operators and collect go by."""

import asyncio
import re
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from onefold.errors import StorageError
from onefold.model.catalog import SCOPES
from onefold.server import instants, pages
from onefold.server.operating import pressure
from onefold.server.operating.metrics import Metrics
from onefold.server.operating.pressure import Pressure
from onefold.server.operating.traffic import Traffic
from tests.unit.server import fakes


@pytest.fixture
def client(tmp_path: Path) -> Iterator[fakes.Client]:
    """Give a client of the whole app."""
    with fakes.client(tmp_path) as client:
        yield client


def _set(client: fakes.Client, **changed: Any) -> None:
    settings = msgspec.structs.replace(client.engines.settings, **changed)
    msgspec.structs.force_setattr(client.engines, "settings", settings)


def _samples(page: bytes) -> dict[str, float]:
    return {
        sample.name + "".join(sorted(f"{{{k}={v}}}" for k, v in sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


def test_health_needs_no_key(client: fakes.Client) -> None:
    """Orchestrators may ask without a key."""
    del client.headers["authorization"]
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json()["ready"]


def test_a_nearly_full_disk_is_not_ready(client: fakes.Client) -> None:
    """Below the reserve, readiness fails with the reason and collect is told to refuse."""
    _set(client, disk_reserve_bytes=1 << 62)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["ready"]) == (503, False)
    assert not answer.json()["checks"]["disk"]["ok"]
    refusal = Pressure(client.engines).check()
    assert refusal is not None
    assert "disk" in str(refusal)


def test_workers_far_behind_are_not_ready(client: fakes.Client) -> None:
    """Past the limit, readiness fails and collect is told to refuse; the answer is kept until the next check."""
    held = Pressure(client.engines)
    assert held.check() is None
    _set(client, behind_max_events=0)
    assert held() is None
    assert held.check() is held()
    assert "behind" in str(held())
    assert not client.get("/readyz").json()["checks"]["workers"]["ok"]


def test_storage_that_fails_is_not_ready(client: fakes.Client) -> None:
    """An engine that cannot be read is a failed check and a reason to refuse, not a crash."""
    client.engines.state.fail_next("counts", StorageError("gone"))  # type: ignore[attr-defined]
    assert client.get("/readyz").json()["checks"]["state"] == {"ok": False, "detail": "storage: gone"}
    client.engines.state.fail_next("cursor", StorageError("gone"))  # type: ignore[attr-defined]
    assert "gone" in str(Pressure(client.engines).check())
    client.engines.state.fail_next("lookup", StorageError("gone"))  # type: ignore[attr-defined]
    answer = client.get("/v1/profiles/user_id:ann")
    assert (answer.status_code, answer.json()["code"]) == (503, "storage")


def test_lag_is_counted_in_events(client: fakes.Client) -> None:
    """Records that are not folded count for as many events as records held so far."""
    assert pressure.behind_records(client.engines) == {0: 1, 1: 0}
    assert pressure.behind_events(client.engines) == 3


def test_metrics_close(client: fakes.Client) -> None:
    """Received = admitted + duplicate + quarantined, and every name carries its unit."""
    found = _samples(client.get("/metrics").content)
    outcome = {name: found[f"onefold_events_total{{outcome={name}}}"] for name in ("received", "admitted", "duplicate")}
    quarantined = sum(value for name, value in found.items() if name.startswith("onefold_quarantined_events_total"))
    assert outcome["received"] == outcome["admitted"] + outcome["duplicate"] + quarantined
    assert found["onefold_audience_members{audience=buyers}"] == 5
    assert found["onefold_lag_records{partition=0}"] == 1
    assert found["onefold_deliveries{destination=crm}{outcome=pending}"] == 1
    assert found["onefold_profiles"] == 1
    assert found["onefold_up"] == 1
    assert found["onefold_disk_free_bytes"] > 0


def test_metrics_survive_an_engine(client: fakes.Client) -> None:
    """What cannot be read is left out and said, the rest is there."""
    client.engines.state.fail_next("sizes", StorageError("gone"))  # type: ignore[attr-defined]
    found = _samples(Metrics(client.engines, None).page())
    assert found["onefold_up"] == 0
    assert "onefold_disk_free_bytes" in found
    assert "onefold_profiles" not in found


def test_traffic_is_counted(client: fakes.Client) -> None:
    """Requests are counted by status, their seconds in buckets that add up, a crash as status 0."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["crash"]:
            raise ValueError
        await send({"type": "http.response.start", "status": 202})
        await send({"type": "http.response.body"})

    async def send(message: Any) -> None:
        pass

    async def serve(traffic: Traffic) -> None:
        for crash in (False, False, True):
            try:
                await traffic({"crash": crash}, None, send)  # type: ignore[arg-type]
            except ValueError:
                assert crash

    traffic = Traffic(app)
    asyncio.run(serve(traffic))
    found = _samples(Metrics(client.engines, traffic).page())
    assert found["onefold_collect_requests_total{status=202}"] == 2
    assert found["onefold_collect_requests_total{status=0}"] == 1
    assert found["onefold_collect_request_seconds_bucket{le=+Inf}"] == 3
    assert found["onefold_collect_request_seconds_count"] == 3


def test_pages_load_nothing(client: fakes.Client) -> None:
    """The pages are whole by themselves: no script, no other host, and a policy that says so."""
    for path in ("/", "/docs"):
        answer = client.get(path)
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["content-security-policy"].startswith("default-src 'self'")
        assert "<script" not in answer.text
        assert not re.search(r"\b(?:src|href|url|import)\W*https?:", answer.text)
        assert "https://" not in answer.text
    assert client.head("/docs").content == b""


def test_the_reference_names_every_route(client: fakes.Client) -> None:
    """The page shows each route and type of the OpenAPI document."""
    document = client.get("/openapi.json").json()
    page = client.get("/docs").text
    for path, item in document["paths"].items():
        assert f">{path}<" in page
        assert all(escape(operation["summary"]) in page for operation in item.values())
    assert all(f'id="{name}"' in page for name in document["components"]["schemas"])


def test_text_of_others_is_escaped() -> None:
    """A document with markup in it stays text."""
    document = {
        "info": {"title": "<b>", "version": "1"},
        "paths": {"/<i>": {"get": {"responses": {}, "summary": "<script>"}}},
        "components": {"schemas": {"<u>": {"properties": {"<s>": {}}}}},
    }
    page = pages.reference(document, "").decode()
    assert not any(tag in page for tag in ("<b>", "<i>", "<script>", "<u>", "<s>"))


@pytest.mark.parametrize(
    ("at_ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_700_000_000_007, "2023-11-14T22:13:20.007Z"),
        (-5, "1970-01-01T00:00:00.000Z"),
        (1 << 53, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_instants(at_ms: int, text: str) -> None:
    """Times are RFC 3339 with milliseconds, always."""
    assert instants.show(at_ms) == text


def test_every_metric_and_scope_is_in_the_docs(client: fakes.Client) -> None:
    """What a reader of the metrics or of a key's scopes wonders about can be looked up."""
    text = (Path(__file__).parents[4] / "docs" / "api.md").read_text()
    page = Metrics(client.engines, Traffic(lambda *_: None)).page().decode()  # type: ignore[arg-type]
    names = {line.split()[2] for line in page.splitlines() if line.startswith("# TYPE")}
    missing = [name for name in sorted(names | set(SCOPES)) if f"`{name}" not in text]
    assert not missing, missing
