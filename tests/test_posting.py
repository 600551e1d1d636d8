from __future__ import annotations

import socket
import ssl
from email.message import Message
from http.client import InvalidURL, RemoteDisconnected
from urllib.error import HTTPError, URLError

import pytest

from digest.posting import never_arrived, reason, seconds_to_wait


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (URLError(socket.gaierror(-2, "Name or service not known")), True),
        (URLError(ConnectionRefusedError(111, "Connection refused")), True),
        (URLError(ssl.SSLCertVerificationError("certificate verify failed")), True),
        (URLError(ConnectionResetError(104, "reset")), False),
        (URLError(TimeoutError("timed out")), False),
        (URLError(OSError("Tunnel connection failed: 407 Proxy Authentication Required")), True),
        (URLError(OSError("something else")), False),
        (ConnectionRefusedError(111, "Connection refused"), False),
        (TimeoutError("timed out"), False),
        (RemoteDisconnected("closed"), False),
        (HTTPError("https://hooks.example/secret", 500, "no", Message(), None), False),
    ],
)
def test_only_what_failed_before_the_request_certainly_did_not_arrive(
    error: BaseException, *, expected: bool
) -> None:
    assert never_arrived(error) is expected


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("0", 0), ("12", 12), (" 400 ", 400), ("9" * 400, 86_400), ("soon", 30), (None, 30), ("", 30),
     ("-5", 30), ("1.5", 30), ("\u0661\u0662", 30), ("Wed, 21 Oct 2026 07:28:00 GMT", 30)],
)  # fmt: skip
def test_a_wait_is_always_a_sane_number_of_seconds(header: str | None, seconds: float) -> None:
    assert seconds_to_wait(header) == seconds


def test_a_reason_says_what_the_system_and_the_proxy_said_and_never_an_address() -> None:
    secret = "https://hooks.example/secret"
    proxy = OSError("Tunnel connection failed: 407 Proxy Authentication Required")

    with HTTPError(secret, 500, "Server Error", Message(), None) as error:
        assert reason(error) == "HTTP Error 500: Server Error"
    assert (
        reason(URLError(ConnectionRefusedError(111, "Connection refused"))) == "Connection refused"
    )
    assert reason(URLError(proxy)) == "Tunnel connection failed: 407 Proxy Authentication Required"
    assert reason(InvalidURL(f"URL can't contain control characters. {secret!r}")) == "InvalidURL"
    assert reason(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad")) == "UnicodeDecodeError"
