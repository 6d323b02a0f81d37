"""What all tests have in common: in a place that promises to have everything, a test that would be skipped fails."""

from collections.abc import Generator

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--no-skips`, which `make test-services` gives."""
    parser.addoption("--no-skips", action="store_true", help="a test that would be skipped fails with its reason")


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
