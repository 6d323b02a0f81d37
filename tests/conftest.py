"""What all tests have in common: the longest come first, promised places skip nothing, and a run tells its figures."""

from collections import Counter
from collections.abc import Generator
from pathlib import Path

import pytest

from onefold.runtime.heap import seldom_collected

HERE = Path(__file__).parent
LONG = (
    "services/test_cluster.py",
    "simulation/test_kills.py",
    "services/test_reresolve.py",
    "services/test_cluster_demo.py",
    "services/test_unmerge_kills.py",
    "services/test_definitions.py",
    "services/test_state_postgres_conformance.py",
    "services/test_state_postgres_folding.py",
    "services/test_secured_kafka.py",
    "services/test_secured_postgres.py",
    "simulation/test_simulation.py",
    "property/test_parity_sql.py",
    "property/test_unmerge.py",
    "property/test_parity_merged.py",
    "property/test_reresolve.py",
    "property/test_parity.py",
    "property/test_accounts.py",
    "property/test_step.py",
    "property/test_many_audiences.py",
    "e2e/test_cli.py",
    "conformance/test_history.py",
)
"""Files that take longest, the longest first. One that began last would let the other processes wait for it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--no-skips`, which `make test-services` gives."""
    parser.addoption("--no-skips", action="store_true", help="a test that would be skipped fails with its reason")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let what takes long begin first, file by file; all else stays in the order of the alphabet."""
    rank = {HERE / file: place for place, file in enumerate(LONG)}
    assert all(file.exists() for file in rank), "LONG names a file that is not there"
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop() -> Generator[None, object, object]:
    """Keep the collector of cycles from reading thousands of tests and all modules over and over: they stay."""
    with seldom_collected():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where there should be none."""
    report = yield
    if report.skipped and call.excinfo is not None and item.config.getoption("no_skips"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} would be skipped: {call.excinfo.value}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell what tests of all processes have recorded as properties: `figures`, and the sums of names with `cases`."""
    counted = Counter[str]()
    for report in terminalreporter.getreports("passed"):
        counted.update({name: int(str(value)) for name, value in report.user_properties if "cases" in name})
        for name, value in report.user_properties:
            if name == "figures":
                terminalreporter.write_line(f"\n{value}")
    for name, cases in sorted(counted.items()):
        terminalreporter.write_line(f"{name}: {cases:,}")
