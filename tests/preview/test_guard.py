"""Who may ask: the Host, the cookie, the site that asks, the size; each refused before a page sees it."""

from __future__ import annotations

from pathlib import Path

import pytest

from digest.preview.guard import EVERYWHERE, LARGEST_BODY, LONGEST_PATH, LONGEST_QUERY
from tests.preview.conftest import BASE, PORT, Stage, staged


@pytest.mark.parametrize(
    "host", [f"127.0.0.1:{PORT}", f"localhost:{PORT}", f"LOCALHOST:{PORT}", f"[::1]:{PORT}"]
)
def test_this_machines_names_with_the_port_are_answered(stage: Stage, host: str) -> None:
    assert stage.ask.get("/healthz", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.test", f"evil.test:{PORT}", "127.0.0.1", "127.0.0.1:1", "localhost", "", "[::1]"],
)
def test_any_other_host_is_refused(stage: Stage, host: str) -> None:
    assert stage.ask.get("/healthz", headers={"host": host}).status_code == 400


def test_a_browser_that_was_not_let_in_is_told_how(stage: Stage) -> None:
    answer = stage.stranger.get("/d/demo")

    assert answer.status_code == 401
    assert "printed in the terminal" in answer.text


def test_the_one_time_address_serves_once(demo: Path) -> None:
    stage = staged(demo)
    used = stage.door.address

    assert stage.stranger.get(used).status_code == 303
    assert stage.stranger.get("/d/demo").status_code == 200
    stage.stranger.cookies.clear()
    assert stage.stranger.get("/login?token=guessed").status_code == 403
    assert stage.stranger.get(used).status_code == 403


def test_the_cookie_carries_the_port_and_is_kept_from_scripts_and_other_sites(demo: Path) -> None:
    stage = staged(demo)
    cookie = stage.stranger.get(stage.door.address).headers["set-cookie"]

    assert cookie.startswith(f"digest_preview_{PORT}=")
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize(
    ("mode", "into"),
    [("no-cors", "image"), ("cors", "empty"), ("navigate", "iframe"), ("no-cors", "script")],
)
def test_what_another_site_embeds_is_refused(stage: Stage, site: str, mode: str, into: str) -> None:
    headers = {"sec-fetch-site": site, "sec-fetch-mode": mode, "sec-fetch-dest": into}

    assert stage.ask.get("/d/demo", headers=headers).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://evil.test"},
        {"origin": "null"},
        {"origin": f"http://127.0.0.1:{PORT + 1}"},
        {"origin": BASE, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"},
        {"origin": BASE, "sec-fetch-site": "none"},
    ],
)
def test_an_action_needs_our_own_origin(stage: Stage, headers: dict[str, str]) -> None:
    assert stage.ask.post("/d/demo", headers=headers).status_code == 403


def test_an_action_of_our_own_page_reaches_the_pages(stage: Stage) -> None:
    headers = {"origin": BASE, "sec-fetch-site": "same-origin"}

    assert stage.ask.post("/d/demo", headers=headers).status_code == 405


def test_a_body_over_the_limit_is_refused(stage: Stage) -> None:
    answer = stage.ask.post("/d/demo", headers={"origin": BASE}, content=b"x" * (LARGEST_BODY + 1))

    assert answer.status_code == 413


@pytest.mark.parametrize("address", ["/" + "x" * LONGEST_PATH, "/?q=" + "x" * LONGEST_QUERY])
def test_an_address_over_the_limit_is_refused(stage: Stage, address: str) -> None:
    assert stage.ask.get(address).status_code == 414


@pytest.mark.parametrize("path", ["/", "/d/demo", "/d/nope", "/nope", "/healthz", "/static/x"])
def test_every_answer_says_what_the_browser_may_do(stage: Stage, path: str) -> None:
    answer = stage.ask.get(path)

    assert {name: answer.headers.get(name) for name in EVERYWHERE} == EVERYWHERE
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


def test_the_frame_has_a_policy_of_its_own(stage: Stage) -> None:
    policy = stage.ask.get("/d/demo/frame").headers["content-security-policy"]

    assert "sandbox" in policy
    assert "script-src" not in policy
    assert "default-src 'none'" in policy
