"""What other people's validators say of our real output: MJML's own, html-validate, caniemail.

Each runs once for all mails, together with spoiled documents that prove it bites.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from itertools import product
from pathlib import Path

import pytest
from mjml import mjml2html

from tests.render.outputs import EDITIONS, LOCALES, message_of, mjml_of

ROOT = Path(__file__).parents[2]
CHECK = ROOT / ".ci" / "node" / "check.mjs"
NODE = shutil.which("node")
pytestmark = [
    pytest.mark.tool,
    pytest.mark.skipif(
        NODE is None or not (CHECK.parent / "node_modules").exists(),
        reason="needs Node 20.19 or newer with npm; `make test` then installs the tools",
    ),
]


def check(tool: str, documents: Mapping[str, str]) -> dict[str, list[str]]:
    """Return what the tool finds in each document."""
    done = subprocess.run(  # noqa: S603 - our own script
        [NODE or "node", str(CHECK), tool],
        input=json.dumps(documents),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout)
    assert set(found) == set(documents)
    return found


def wrong(found: Mapping[str, list[str]], names: Mapping[str, str]) -> dict[str, list[str]]:
    return {name: found[name] for name in names if found[name]}


def everything(translated: Collection[str] = tuple(EDITIONS)) -> Iterator[tuple[str, str, str]]:
    """Yield name, edition and locale: all editions in the first language, `translated` in the others."""
    for edition, locale in product(EDITIONS, LOCALES):
        if locale == LOCALES[0] or edition in translated:
            yield f"{edition}, {locale}", edition, locale


# ------------------------------------------------------------------------------------------ MJML

BROKEN_MJML = {
    '<mj-text colour="red">x</mj-text>': "Attribute colour is illegal",
    "<mj-foo>x</mj-foo>": "Element mj-foo doesn't exist",
    '<mj-text padding="50">x</mj-text>': "padding",
    "<mj-section><mj-column></mj-column></mj-section>": "mj-section cannot be used inside mj-column",
}


def in_a_mail(part: str) -> str:
    return f"<mjml><mj-body><mj-section><mj-column>{part}</mj-column></mj-section></mj-body></mjml>"


@cache
def mjml_report() -> tuple[dict[str, str], dict[str, list[str]]]:
    mails = {name: mjml_of(edition, locale) for name, edition, locale in everything()}
    return mails, check("mjml", {**mails, **{part: in_a_mail(part) for part in BROKEN_MJML}})


def test_the_reference_engine_accepts_our_mjml_in_strict_mode() -> None:
    mails, found = mjml_report()

    assert len(mails) >= 2 * len(EDITIONS)
    assert wrong(found, mails) == {}


@pytest.mark.parametrize(("part", "expected"), BROKEN_MJML.items())
def test_the_reference_engine_refuses_what_ours_lets_through(part: str, expected: str) -> None:
    _, found = mjml_report()

    assert [sentence for sentence in found[part] if expected in sentence], found[part]


# ------------------------------------------------------------------------------------------ HTML

# The tags do not depend on the language, only the words in attributes do.
TRANSLATED = ("at_risk", "month_close", "fullest_8", "hostile")
BROKEN_HTML = {
    "<mj-foo>x</mj-foo>": "no-unknown-elements",
    '<img src="cid:x">': "wcag/h37",
    '<a href="https://a.example"></a>': "wcag/h30",
    '<img src="cid:x" alt="x" height="auto">': "attribute-allowed-values",
    '<p id="a">x</p><p id="a">y</p>': "no-dup-id",
    "<table><tr><th>x</th><th>y</th></tr><tr><th>z</th><td>1</td></tr></table>": "wcag/h63",
    "<b><i>x</b></i>": "close-order",
}


@cache
def html_report() -> tuple[dict[str, str], dict[str, list[str]]]:
    mails = {
        name: message_of(edition, locale).html for name, edition, locale in everything(TRANSLATED)
    }
    sound = mails[f"at_risk, {LOCALES[0]}"]
    broken = {part: sound.replace("</body>", f"{part}</body>") for part in BROKEN_HTML}
    return mails, check("html", {**mails, **broken})


def test_html_validate_finds_nothing_with_the_accessibility_rules() -> None:
    mails, found = html_report()

    assert wrong(found, mails) == {}


@pytest.mark.parametrize(("part", "expected"), BROKEN_HTML.items())
def test_html_validate_finds_what_is_planted(part: str, expected: str) -> None:
    _, found = html_report()

    assert {sentence.partition(":")[0] for sentence in found[part]} >= {expected}


# --------------------------------------------------------------------------------------- clients

# What we add to the engine's skeleton although a client does not know it, and what its readers see.
KNOWN = {
    "outlook.windows: overflow": "the preheader is hidden by mso-hide, phone rules are not for it",
    "outlook.windows: white-space": "a number or a status in a narrow column may take two lines",
}
LOOKED_AT = ("fullest_8", "month_close", "branded", "no_data")
SKELETON = """
<mjml><mj-head><mj-breakpoint width="480px" /></mj-head><mj-body>
<mj-wrapper><mj-section><mj-group><mj-column><mj-text>x</mj-text></mj-column></mj-group></mj-section>
<mj-section><mj-column><mj-table><tr><td>x</td></tr></mj-table>
<mj-button href="https://a.example">x</mj-button></mj-column></mj-section></mj-wrapper>
</mj-body></mjml>
"""
UNSUPPORTED = {
    '<div style="display:grid">x</div>': "outlook.windows: display:grid",
    '<div style="position:absolute">x</div>': "gmail.ios: position",
    "<progress></progress>": "gmail.ios: <progress> element",
}


@cache
def client_report() -> tuple[dict[str, str], dict[str, list[str]]]:
    mails = {name: message_of(name, LOCALES[0]).html for name in LOOKED_AT}
    planted = {part: f"<!doctype html><html><body>{part}</body></html>" for part in UNSUPPORTED}
    skeleton = {"skeleton": mjml2html(SKELETON, fonts={})}
    return mails, check("clients", {**mails, **planted, **skeleton})


def test_mail_clients_know_all_we_use_beyond_the_skeleton_but_what_was_weighed() -> None:
    mails, found = client_report()
    used = {sentence for name in mails for sentence in found[name]}

    # Equal, not less: what is no longer used must leave the list.
    assert sorted(used - set(found["skeleton"])) == sorted(KNOWN)


@pytest.mark.parametrize(("part", "expected"), UNSUPPORTED.items())
def test_what_clients_do_not_know_is_found(part: str, expected: str) -> None:
    _, found = client_report()

    assert expected in found[part]
