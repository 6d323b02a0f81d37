"""What all tests have in common: promised places skip nothing, and a run tells how many cases it has generated."""

from collections import Counter
from collections.abc import Generator

import pytest

from onefold.runtime.heap import seldom_collected


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--no-skips`, which `make test-services` gives."""
    parser.addoption("--no-skips", action="store_true", help="a test that would be skipped fails with its reason")


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
    """Tell how many cases tests have counted, in all processes: `record_property`, under names with `cases` in them."""
    counted = Counter[str]()
    for report in terminalreporter.getreports("passed"):
        counted.update({name: int(str(value)) for name, value in report.user_properties if "cases" in name})
    for name, cases in sorted(counted.items()):
        terminalreporter.write_line(f"{name}: {cases:,}")
