"""A requests session with limits: nothing waits for ever, nothing is followed."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import requests

from digest.clocks import OtherClock, clock_of

if TYPE_CHECKING:
    from digest.connectors.salesforce.wire import Wire

# Beyond this share of the calls of 24 hours somebody has to look: at all of them the digest is held.
ALMOST = 0.95
_USAGE = re.compile(r"(?<![\w-])api-usage=(\d+)/(\d+)")


class LimitedSession(requests.Session):
    """Fills in what the vendor's client leaves out, and remembers what it throws away.

    Attributes:
        calls: requests made.
        status: of the last answer, None when there was none.
        usage: API calls used and allowed in 24 hours, as last told.
        retry_after: seconds that the last answer asks to wait.
        told: the server's own clock, by the last answer that shows it.
    """

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self._wire = wire
        self.calls = 0
        self.status: int | None = None
        self.usage: tuple[int, int] | None = None
        self.retry_after: float | None = None
        self.told: OtherClock | None = None
        # No proxy, certificate or .netrc from the environment; a .netrc would replace our token.
        self.trust_env = False
        if wire.adapter is not None:
            self.mount("https://", wire.adapter())

    @property
    def almost_used(self) -> bool:
        """Whether hardly any API call is left."""
        return self.usage is not None and self.usage[0] > ALMOST * self.usage[1]

    def request(self, method: Any, url: Any, *rest: Any, **options: Any) -> requests.Response:  # noqa: ANN401 - as in requests
        """Ask with timeouts, without redirects, and read the whole answer within its limits.

        Raises:
            requests.RequestException: no whole answer.
        """
        if options.get("timeout") is None:
            options["timeout"] = (self._wire.connect_seconds, self._wire.read_seconds)
        options.update(allow_redirects=False, stream=True)
        self.calls += 1
        self.status = self.retry_after = None
        began = time.monotonic()
        response = super().request(method, url, *rest, **options)
        with response:
            self._read(response, began)
        self.status = response.status_code
        self._remember(response.headers)
        return response

    def _read(self, response: requests.Response, began: float) -> None:
        data = bytearray()
        for chunk in response.iter_content(65_536):
            data += chunk
            if len(data) > self._wire.largest:
                raise requests.ConnectionError(
                    "the answer is larger than any answer to us should be"
                )
            if time.monotonic() - began > 2 * self._wire.read_seconds:
                raise requests.Timeout("the answer does not come to its end")
        response._content = bytes(data)  # noqa: SLF001 - what reading without a limit would set

    def _remember(self, headers: Mapping[str, str]) -> None:
        found = _USAGE.search(headers.get("Sforce-Limit-Info", ""))
        if found:
            self.usage = int(found[1]), int(found[2])
        wait = headers.get("Retry-After", "")
        if wait.isdigit():
            self.retry_after = float(wait)
        self.told = clock_of(headers.get("Date", "")) or self.told

    @property
    def told_at(self) -> datetime | None:
        """UTC instant of the last answer by the server's own clock."""
        return self.told.showed.astimezone(UTC) if self.told else None
