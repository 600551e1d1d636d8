"""Who gets an edition: addresses checked when the settings are read, not when the first mail bounces."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from digest.addresses import ascii_address
from digest.errors import nearest
from digest.settings.lines import Path
from digest.settings.mistakes import Mistakes, clip, shown, unknown
from digest.settings.sections import LANGUAGES

_LONGEST_ADDRESS = 254  # RFC 5321 with the correction of erratum 1690
_COMMON_DOMAINS = (
    "gmail.com", "googlemail.com", "outlook.com", "hotmail.com", "live.com", "icloud.com", "yahoo.com",
    "proton.me", "gmx.ch", "gmx.net", "gmx.de", "web.de", "t-online.de", "bluewin.ch", "sunrise.ch",
    "hispeed.ch",
)  # fmt: skip


def with_tables(recipients: object) -> object:
    """Return a list of recipients with each bare address as a table, the form the channel takes."""
    if not isinstance(recipients, list):
        return recipients
    return [{"address": entry} if isinstance(entry, str) else entry for entry in recipients]


def check_recipients(
    recipients: object,
    at: Path,
    mistakes: Mistakes,
    *,
    segments: Sequence[str] | None,
    calendars: Sequence[str],
    mail: bool,
) -> object:
    """Return the list without repeated addresses, noting what is wrong with it.

    `segments` are the names a recipient may put first, None when they are not known; `calendars` those of
    [calendars]; `mail` says that the addresses are mail addresses.
    """
    entries = with_tables(recipients)
    if not isinstance(entries, list):
        return entries
    if not entries:
        mistakes.add(at, "the list is empty, so nobody would get the digest; add an address")
    kept: list[object] = []
    seen: set[str] = set()
    for number, entry in enumerate(entries):
        if not isinstance(entry, Mapping):
            mistakes.add(
                (*at, number),
                f"found {shown(entry)}; allowed: an address in quotes or a table with an address",
            )
            continue
        if not isinstance(entry.get("address"), str):
            kept.append(entry)
            continue
        address = entry["address"].strip()
        check_wishes(entry, (*at, number), mistakes, segments, calendars)
        if mail and not _is_deliverable(address, (*at, number), mistakes):
            continue
        key = _spelling(address) if mail else address
        if key in seen:
            mistakes.warn((*at, number), f"{clip(address)!r} is listed twice; it gets one mail")
            continue
        seen.add(key)
        kept.append({**entry, "address": address})
    return kept


def _is_deliverable(address: str, at: Path, mistakes: Mistakes) -> bool:
    if problem := address_problem(address):
        mistakes.add(at, problem)
        return False
    if hint := _common_domain(address):
        mistakes.warn(at, f"found {clip(address)!r}{hint}")
    return True


def check_wishes(
    entry: Mapping[str, object],
    at: Path,
    mistakes: Mistakes,
    segments: Sequence[str] | None,
    calendars: Sequence[str],
) -> None:
    """Note a language, calendar or segments that do not exist in the table of a recipient."""
    language = entry.get("language")
    if isinstance(language, str) and language not in LANGUAGES:
        mistakes.add((*at, "language"), unknown(language, LANGUAGES, "language"))
    calendar = entry.get("calendar")
    if isinstance(calendar, str) and calendar not in calendars:
        mistakes.add((*at, "calendar"), unknown(calendar, calendars, "calendar"))
    wanted = entry.get("segments")
    if segments is None or not isinstance(wanted, list):
        return
    for number, name in enumerate(wanted):
        if isinstance(name, str) and name not in segments:
            mistakes.add((*at, "segments", number), unknown(name, segments, "segment"))


def address_problem(address: str) -> str | None:
    """Return what is wrong with a mail address, None when nothing is."""
    try:
        spelling = ascii_address(address)
    except ValueError as error:
        return f"{error}{_common_domain(address)}"
    domain = spelling.rpartition("@")[2]
    if "." not in domain and domain != "localhost":
        whole = f"{domain}.com"
        hint = nearest(whole, [whole]) if whole in _COMMON_DOMAINS else _common_domain(whole)
        return f"{address!r} is not a mail address: the domain {domain!r} has no dot{hint}"
    if len(spelling) > _LONGEST_ADDRESS:
        return f"{clip(address)!r} is too long; allowed: {_LONGEST_ADDRESS} characters"
    return None


def _spelling(address: str) -> str:
    """Return one form for every way to write the same mailbox."""
    return ascii_address(address).casefold()


def _common_domain(address: str) -> str:
    """Return "; did you mean 'gmail.com'?" for a near miss of a common domain."""
    return _near_miss(address.rpartition("@")[2].strip().casefold())


@lru_cache(maxsize=256)  # a team shares its domain
def _near_miss(domain: str) -> str:
    if domain in _COMMON_DOMAINS or not 4 <= len(domain) <= 20:  # noqa: PLR2004 - lengths of the names above, with room
        return ""
    hint = nearest(domain, _COMMON_DOMAINS)
    match = re.search(r"'([^']+)'", hint)
    return hint if match and _one_slip(domain, match.group(1)) else ""


def _one_slip(found: str, meant: str) -> bool:
    """Tell whether one letter was missed, added or changed, or two neighbours swapped."""
    if abs(len(found) - len(meant)) > 1:
        return False
    start = 0
    while start < min(len(found), len(meant)) and found[start] == meant[start]:
        start += 1
    tails = (found[start:], meant[start:])
    swapped = tails[0][:2] == tails[1][:2][::-1] and tails[0][2:] == tails[1][2:]
    return (
        swapped
        or tails[0][1:] == tails[1][1:]
        or tails[0] == tails[1][1:]
        or tails[0][1:] == tails[1]
    )
