"""Prometheus metrics, made from the engines when they are asked for; docs/api.md explains each."""

from collections.abc import Iterable, Iterator
from typing import Any

from litestar import Request, Response, Router
from litestar.openapi.datastructures import ResponseSpec
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from onefold.core.identity.notes import HOT_MEMBERS
from onefold.core.run import REFUSED
from onefold.errors import OnefoldError
from onefold.runtime.history.lag import lag_ms
from onefold.server.engines import Engines, Given
from onefold.server.operating.pressure import lags
from onefold.server.operating.traffic import BUCKETS_S, Traffic
from onefold.server.route import read


class Metrics:
    """A prometheus collector over the engines: nothing is kept, everything is looked up."""

    def __init__(self, engines: Engines, traffic: Traffic | None) -> None:
        self._engines = engines
        self._traffic = traffic
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def page(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Every metric; an engine that cannot be read leaves its own out and `onefold_up` at 0."""
        up = 1
        for part in (self._events, self._lag, self._state, self._identity, self._deliveries, self._history, self._disk):
            try:
                yield from list(part())
            except OnefoldError:
                up = 0
        if self._traffic is not None:
            yield from _requests(self._traffic)
        yield GaugeMetricFamily("onefold_up", "1 where every engine could be read for this answer", value=up)

    def describe(self) -> Iterable[Metric]:
        """Nothing: the registry need not look before it is asked."""
        return ()

    def _events(self) -> Iterator[Metric]:
        counts = self._engines.state.counts()
        events = CounterMetricFamily("onefold_events", "Events folded, by what became of them", labels=["outcome"])
        for outcome in ("received", "admitted", "duplicate"):
            events.add_metric([outcome], counts.get(outcome, 0))
        yield events
        quarantined = CounterMetricFamily("onefold_quarantined_events", "Events in quarantine", labels=["reason"])
        for name, count in sorted(counts.items()):
            if name.startswith("quarantined."):
                quarantined.add_metric([name.partition(".")[2]], count)
        yield quarantined

    def _lag(self) -> Iterator[Metric]:
        records = GaugeMetricFamily("onefold_lag_records", "Records of the log not folded yet", labels=["partition"])
        seconds = GaugeMetricFamily(
            "onefold_lag_seconds", "Age of the oldest record not folded yet", labels=["partition"]
        )
        for lag in lags(self._engines):
            records.add_metric([str(lag.partition)], lag.records)
            seconds.add_metric([str(lag.partition)], lag.oldest_ms / 1000)
        yield records
        yield seconds

    def _state(self) -> Iterator[Metric]:
        counts = self._engines.state.counts()
        yield GaugeMetricFamily("onefold_profiles", "Profiles", value=counts.get("profiles", 0))
        members = GaugeMetricFamily("onefold_audience_members", "Profiles in an audience", labels=["audience"])
        sizes = self._engines.state.sizes()
        for audience, size in sorted(sizes.items()):
            if audience != HOT_MEMBERS:
                members.add_metric([audience], size)
        yield members
        yield GaugeMetricFamily(
            "onefold_hot_profiles",
            "Profiles with an identifier that joins nobody any more",
            value=sizes.get(HOT_MEMBERS, 0),
        )

    def _identity(self) -> Iterator[Metric]:
        counts = self._engines.state.counts()
        merges = CounterMetricFamily("onefold_merges", "Profiles that became part of another")
        merges.add_metric([], counts.get("merges", 0))
        yield merges
        refused = CounterMetricFamily(
            "onefold_links_refused", "Identifiers that were kept out of a profile", labels=["rule"]
        )
        for name, count in sorted(counts.items()):
            if name.startswith(REFUSED):
                refused.add_metric([name.removeprefix(REFUSED)], count)
        yield refused
        hot = CounterMetricFamily("onefold_hot_identifiers", "Identifiers that have become hot")
        hot.add_metric([], counts.get("hot_identifiers", 0))
        yield hot

    def _deliveries(self) -> Iterator[Metric]:
        if self._engines.deliveries is None:
            return
        family = GaugeMetricFamily(
            "onefold_deliveries", "Deliveries, by what became of them", labels=["destination", "outcome"]
        )
        for destination, counts in sorted(self._engines.deliveries.counts().items()):
            for outcome, count in sorted(counts.items()):
                family.add_metric([destination, outcome], count)
        yield family

    def _history(self) -> Iterator[Metric]:
        settled = self._engines.place.history_settled()
        if settled is None:
            return
        behind_ms = lag_ms(self._engines.state, settled, self._engines.clock)
        yield GaugeMetricFamily(
            "onefold_history_lag_seconds", "Age of the oldest effect that history has not taken", value=behind_ms / 1000
        )

    def _disk(self) -> Iterator[Metric]:
        free = self._engines.place.free_bytes()
        if free is not None:
            yield GaugeMetricFamily("onefold_disk_free_bytes", "Free disk where the data lies", value=free)


def _requests(traffic: Traffic) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "onefold_collect_requests", "Requests that collect of this process answered", labels=["status"]
    )
    for status, count in sorted(traffic.requests.items()):
        requests.add_metric([str(status)], count)
    yield requests
    limited = CounterMetricFamily(
        "onefold_collect_limited_events", "Events that this process refused for their source's rate", labels=["source"]
    )
    for source, count in sorted(traffic.limited.items()):
        limited.add_metric([source], count)
    yield limited
    buckets, total = [], 0
    for bound, count in zip([*map(str, BUCKETS_S), "+Inf"], traffic.buckets, strict=True):
        total += count
        buckets.append((bound, total))
    yield HistogramMetricFamily(
        "onefold_collect_request_seconds", "Time to answer them", buckets=buckets, sum_value=traffic.sum_s
    )


@read(
    "/metrics",
    "metrics:read",
    "Prometheus metrics",
    sync_to_thread=True,
    media_type="text/plain",
    responses={
        200: ResponseSpec(str, description="Prometheus text format.", media_type="text/plain", generate_examples=False),
    },
)
def get_metrics(engines: Given, request: Request[Any, Any, Any]) -> Response[bytes]:
    """Answer with all metrics."""
    page = Metrics(engines, request.app.state.traffic).page()
    return Response(page, media_type="text/plain", headers={"content-type": CONTENT_TYPE_LATEST})


router = Router("/", route_handlers=[get_metrics], tags=["health"])
