"""What every test shares: no network but loopback, and no silent skips where all tests must run."""

from __future__ import annotations

import os
import socket
from collections.abc import Generator, Iterator
from ipaddress import ip_address
from typing import Any

import pytest

ALL = os.environ.get("DIGEST_TEST_ALL") == "1"  # noqa: TID251 - the test run is an entry point


@pytest.fixture(autouse=True, scope="session")
def no_runner() -> None:
    """Forget that the tests may run on a CI runner, where a ledger in a file is refused."""
    for name in ("CI", "GITHUB_ACTIONS"):
        os.environ.pop(name, None)  # noqa: TID251 - the test run is an entry point


@pytest.fixture(autouse=True, scope="session")
def only_loopback() -> Iterator[None]:
    """Fail any test that opens a connection to another machine."""
    real = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:  # noqa: ANN401 - as in the standard library
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
            pytest.fail(f"a test tried to reach {address[0]}")
        real(self, address)

    socket.socket.connect = guarded  # type: ignore[method-assign,assignment] # a guard for every library at once
    yield
    socket.socket.connect = real  # type: ignore[method-assign] # restores the original


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where DIGEST_TEST_ALL=1 promises that everything runs."""
    report = yield
    if ALL and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped although DIGEST_TEST_ALL=1: {report.longrepr}"
    return report


# Tests that wait for processes to notice one another: others have to be left to do beside them.
WAITING = ("tests/fleet/", "tests/delivery/test_two_hosts.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that wait."""
    items.sort(key=lambda item: not item.nodeid.startswith(WAITING))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the switch of the golden tests; it has to stand in the root of the tests."""
    parser.addoption("--golden-update", action="store_true", help="rewrite tests/golden")
