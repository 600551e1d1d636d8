"""`digest init`: a few questions, then a commented digest.toml and the worksheet beside it.

Secrets are never asked for, only where they are kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

from digest.addresses import mailbox
from digest.errors import ConfigError, nearest
from digest.model import Period, Secret, Segment, SegmentMap
from digest.notation import CURRENCIES
from digest.settings.recipients import address_problem
from digest.settings.sections import LANGUAGES
from digest.workdays import SUBDIVISION_MANDATORY, Calendar

CONFIG, WORKSHEET = "digest.toml", "sla.xlsx"
SEGMENT_KINDS = ("region", "persona", "channel")
CONNECTOR_KINDS = ("sql", "spreadsheet", "hubspot", "salesforce")
PORTAL_OBJECTS = ("contacts", "companies", "leads")
YES_OR_NO = ("yes", "no")
ORG_LOGINS = ("client credentials", "jwt")
ZONES = {
    "CH": "Europe/Zurich",
    "DE": "Europe/Berlin",
    "AT": "Europe/Vienna",
    "FR": "Europe/Paris",
    "IT": "Europe/Rome",
    "NL": "Europe/Amsterdam",
    "BE": "Europe/Brussels",
    "LU": "Europe/Luxembourg",
    "GB": "Europe/London",
}
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
_TRIES = 5
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

T = TypeVar("T")


class Ask(Protocol):
    """Puts a question to the person and returns the answer; `click.prompt` is one."""

    def __call__(self, text: str, *, default: str) -> str:
        """Return the answer, or the default when the person just presses Enter."""


@dataclass(frozen=True)
class SecretPlace:
    """Where a secret is kept: never the secret."""

    kind: str
    place: str

    def toml(self) -> str:
        """Return the reference as it stands in the file."""
        return f"{{ {self.kind} = {quoted(self.place)} }}"


@dataclass(frozen=True)
class Database:
    """A table of leads."""

    url: str
    password: SecretPlace | None
    table: str
    date_column: str
    segment_column: str
    stored_in: str


@dataclass(frozen=True)
class LeadList:
    """A spreadsheet or CSV of leads."""

    file: str
    date_column: str
    segment_column: str


@dataclass(frozen=True)
class App:
    """An app that is installed in many HubSpot portals."""

    client_id: str
    client_secret: SecretPlace
    refresh_token: SecretPlace


@dataclass(frozen=True)
class PortalDeals:
    """Deals of a portal; without a property of their own they are measured for the total only."""

    segment_property: str


@dataclass(frozen=True)
class Portal:
    """A HubSpot portal.

    Attributes:
        stages: the stage of the SLA and every later one; empty for leads, which count by their creation.
    """

    access: SecretPlace | App
    counted: str
    stages: tuple[str, ...]
    customer_stage: str
    segment_property: str
    deals: PortalDeals | None
    follow_up: bool


@dataclass(frozen=True)
class Org:
    """A Salesforce org; `secret` is where its consumer secret or, with `username`, its private key is kept.

    Attributes:
        deals_segment: field of Opportunity with the segment; empty when deals are not measured.
    """

    domain: str
    consumer_key: str
    username: str
    secret: SecretPlace
    lead_object: str
    dates: tuple[str, ...]
    segment_field: str
    deals_segment: str


@dataclass(frozen=True)
class Relay:
    """The mail relay."""

    host: str
    sender: str
    username: str
    password: SecretPlace | None


@dataclass(frozen=True)
class SlackChannel:
    """A Slack channel and where its app's bot token is kept."""

    channel: str
    token: SecretPlace


@dataclass(frozen=True)
class Answers:
    """Everything `digest init` asks."""

    title: str
    language: str
    country: str
    subdivision: str
    timezone: str
    segment_kind: str
    segments: tuple[str, ...]
    currency: str
    source: Database | LeadList | Portal | Org
    relay: Relay
    recipients: tuple[str, ...]
    slack: SlackChannel | None = None
    operators: tuple[str, ...] = ()


def ask_and_write(folder: Path, *, ask: Ask, today: date) -> tuple[Path, ...]:
    """Ask, then write digest.toml and the worksheet of the current year; return what was written.

    Raises:
        ConfigError: a file is there already (before anything is asked), or an answer is of no use.
    """
    from digest.worksheet import write_new

    config, worksheet = folder / CONFIG, folder / WORKSHEET
    there = [str(path) for path in (config, worksheet) if path.exists()]
    if there:
        raise ConfigError(
            f"there is {' and '.join(there)} already, which stays as it is; "
            "give another folder: digest init FOLDER"
        )
    answers = asked(ask)
    calendar = Calendar(answers.country, answers.subdivision or None, language=answers.language)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_new(
            worksheet,
            language=answers.language,
            segments=answers.segments,
            currency=answers.currency,
            year=today.year,
            segment_kind=answers.segment_kind,
            days=calendar.days(Period(date(today.year, 1, 1), date(today.year + 1, 1, 1))),
        )
        for name, content in files(answers).items():
            with (folder / name).open("x", encoding="utf-8") as file:
                file.write(content)
    except OSError as error:
        raise ConfigError(
            f"{folder} cannot be written: {error.strerror or error}; give another folder"
        ) from error
    return config, worksheet


# ---------------------------------------------------------------------------------------- questions


def asked(ask: Ask) -> Answers:
    """Put all questions; an answer that cannot be used is asked again with the reason."""
    title = _until_valid(ask, "Name of the digest", "Leads", _one_line)
    language = _until_valid(ask, f"Language ({', '.join(LANGUAGES)})", "en", _choice(LANGUAGES))
    country = _until_valid(ask, "Country of the public holidays (ISO code)", "CH", _country)
    subdivision = _subdivision(ask, country)
    timezone = _until_valid(ask, "Time zone", ZONES.get(country, "Europe/Zurich"), _zone)
    kind = _until_valid(
        ask, f"Your segments are ({', '.join(SEGMENT_KINDS)})", "region", _choice(SEGMENT_KINDS)
    )
    segments = _until_valid(
        ask, f"Names of the {kind}s, separated by commas", "DACH, Benelux", _segments
    )
    currency = _until_valid(ask, "Currency of the totals (ISO code)", "CHF", _currency)
    connector = _until_valid(
        ask, f"Leads are in ({', '.join(CONNECTOR_KINDS)})", "sql", _choice(CONNECTOR_KINDS)
    )
    sources: Mapping[str, Callable[[Ask], Database | LeadList | Portal | Org]] = {
        "sql": _database,
        "spreadsheet": _lead_list,
        "hubspot": _portal,
        "salesforce": _org,
    }
    return Answers(
        title=title,
        language=language,
        country=country,
        subdivision=subdivision,
        timezone=timezone,
        segment_kind=kind,
        segments=segments,
        currency=currency,
        source=sources[connector](ask),
        relay=_relay(ask),
        recipients=_until_valid(
            ask, "Who gets it: mail addresses, separated by commas", "", _recipients
        ),
        slack=_slack(ask),
        operators=_until_valid(
            ask,
            "Who is told when something is wrong, not the team; empty for nobody",
            "",
            _operators,
        ),
    )


def _database(ask: Ask) -> Database:
    url = _until_valid(
        ask,
        "Database URL without a password, such as postgresql://digest@crm.example/sales",
        "sqlite:///crm.sqlite",
        _url,
    )
    password = None
    if not url.startswith(("sqlite:", "duckdb:")):
        password = _secret(ask, "its password", "DIGEST_DB_PASSWORD")
    return Database(
        url,
        password,
        _until_valid(ask, "Table or view with one row per lead", "leads", _one_line),
        _until_valid(ask, "Its column with the date of the lead", "qualified_at", _one_line),
        _until_valid(ask, "Its column with the segment", "region", _one_line),
        _until_valid(ask, "Zone of times that have none in them", "UTC", _zone),
    )


def _lead_list(ask: Ask) -> LeadList:
    return LeadList(
        _until_valid(
            ask, "File with one row per lead (.xlsx, .ods, .csv)", "leads.xlsx", _one_line
        ),
        _until_valid(ask, "Its column with the date of the lead", "Date", _one_line),
        _until_valid(ask, "Its column with the segment", "Segment", _one_line),
    )


def _portal(ask: Ask) -> Portal:
    way = _until_valid(
        ask,
        "HubSpot is entered by a service key (or private-app token) with read scopes, or by an app that is "
        "installed in many portals (key, app)",
        "key",
        _choice(("key", "app")),
    )
    access = _secret(ask, "the key", "HUBSPOT_TOKEN") if way == "key" else _app(ask)
    counted = _until_valid(
        ask,
        f"What is counted ({', '.join(PORTAL_OBJECTS)}; leads need Sales Hub Professional)",
        "contacts",
        _choice(PORTAL_OBJECTS),
    )
    stages: tuple[str, ...] = ()
    customer = ""
    if counted != "leads":
        stages = _until_valid(
            ask,
            "Lifecycle stages: the one that the SLA promises and every later one, in order, by label or "
            "internal name, separated by commas",
            "marketingqualifiedlead, salesqualifiedlead, opportunity, customer",
            _stages,
        )
        customer = _until_valid(
            ask,
            "Stage that makes a customer, for close rates; empty to take won deals instead",
            "customer" if "customer" in stages else "",
            _maybe,
        )
    segment = _until_valid(
        ask, "Property with the segment, by its internal name", "region", _segment_property
    )
    deals = None
    if (
        _until_valid(ask, "Measure closed deals as well (yes, no)", "yes", _choice(YES_OR_NO))
        == "yes"
    ):
        deals = PortalDeals(
            _until_valid(
                ask,
                "Property of the deals with the segment, empty to measure them for the total only",
                "",
                _maybe,
            )
        )
    follow_up = _until_valid(
        ask, "Measure the follow-up by sales as well (yes, no)", "no", _choice(YES_OR_NO)
    )
    return Portal(access, counted, stages, customer, segment, deals, follow_up == "yes")


def _app(ask: Ask) -> App:
    return App(
        _until_valid(ask, "Client id of the app", "", _one_line),
        _secret(ask, "the app's client secret", "HUBSPOT_CLIENT_SECRET"),
        _secret(ask, "the refresh token of this portal", "HUBSPOT_REFRESH_TOKEN"),
    )


def _org(ask: Ask) -> Org:
    domain = _until_valid(
        ask, "My Domain of the org, such as company.my, or its pasted address", "", _org_domain
    )
    login = _until_valid(
        ask,
        f"Login of its External Client App ({', '.join(ORG_LOGINS)})",
        ORG_LOGINS[0],
        _choice(ORG_LOGINS),
    )
    key = _until_valid(ask, "The app's consumer key", "", _one_line)
    username = ""
    if login == "jwt":
        username = _until_valid(ask, "The app's user, by user name", "", _one_line)
        secret = _secret(ask, "the app's private key", "file:salesforce.pem")
    else:
        secret = _secret(ask, "the app's consumer secret", "DIGEST_SALESFORCE_SECRET")
    return Org(
        domain,
        key,
        username,
        secret,
        _until_valid(ask, "Object with one record per lead", "Lead", _api_name),
        _until_valid(
            ask,
            "Its fields with the dates on which it became a lead for sales or reached a later stage, "
            "separated by commas",
            "CreatedDate",
            _api_names,
        ),
        _until_valid(ask, "Its field with the segment", "Country", _api_name),
        _until_valid(
            ask,
            "Field of Opportunity with the segment, to measure close rates and deal sizes; empty for no",
            "",
            _maybe_api_name,
        ),
    )


def _relay(ask: Ask) -> Relay:
    host = _until_valid(ask, "Mail relay (SMTP host)", "localhost", _host)
    sender = _until_valid(ask, "Sender, such as Leads digest <digest@company.example>", "", _sender)
    username = _until_valid(ask, "User name at the relay, empty for none", "", _maybe)
    password = _secret(ask, "the relay's password", "DIGEST_SMTP_PASSWORD") if username else None
    return Relay(host, sender, username, password)


def _slack(ask: Ask) -> SlackChannel | None:
    channel = _until_valid(
        ask, "Slack channel, its id such as C0123456789, empty for none", "", _slack_channel
    )
    if not channel:
        return None
    return SlackChannel(channel, _secret(ask, "the app's bot token", "DIGEST_SLACK_TOKEN"))


def _secret(ask: Ask, what: str, variable: str) -> SecretPlace:
    return _until_valid(
        ask,
        f"Where {what} is kept, never the secret itself: the name of an environment variable, "
        "file:PATH or keyring:SERVICE/USER",
        variable,
        _place,
    )


def _subdivision(ask: Ask, country: str) -> str:
    def known(answer: str) -> str:
        Calendar(country, answer or None)
        return answer

    example = {"CH": "ZH", "DE": "BY"}.get(country, "")
    need = "" if country in SUBDIVISION_MANDATORY else ", empty for the whole country"
    return _until_valid(ask, f"Canton, state or province{need}", example, known)


def _until_valid(ask: Ask, question: str, default: str, valid: Callable[[str], T]) -> T:
    """Ask until the answer is of use.

    Raises:
        ConfigError: it was not, several times over.
    """
    problem = ""
    for _ in range(_TRIES):
        answer = ask(f"{problem}{question}", default=default).strip()
        try:
            if not all(letter.isprintable() for letter in answer):
                _refuse("the answer holds a control character")
            return valid(answer)
        except ValueError as error:
            problem = f"{error}.\n"
    raise ConfigError(f"{question}: {problem.strip()} Nothing was written; run digest init again")


def _refuse(reason: str) -> None:
    raise ValueError(reason)


def _one_line(answer: str) -> str:
    if not answer:
        _refuse("An answer is needed")
    return answer


def _maybe(answer: str) -> str:
    return answer


def _choice(allowed: tuple[str, ...]) -> Callable[[str], str]:
    def valid(answer: str) -> str:
        for name in allowed:
            if name.casefold() == answer.casefold():
                return name
        raise ValueError(
            f"No {answer!r}{nearest(answer, allowed) or ';'} allowed: {', '.join(allowed)}"
        )

    return valid


def _country(answer: str) -> str:
    code = answer.upper()
    try:
        Calendar(code)
    except ValueError as error:
        if not str(error).startswith("subdivision"):
            raise
    return code


def _zone(answer: str) -> str:
    from digest.settings.parts import zone_problem

    if problem := zone_problem(answer):
        _refuse(problem)
    return answer


def _segments(answer: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in answer.split(",") if name.strip())
    if not names:
        _refuse("At least one name is needed")
    if len({name.casefold() for name in names}) < len(names):
        _refuse("A name is there twice")
    SegmentMap([Segment(name) for name in names])
    return names


def _stages(answer: str) -> tuple[str, ...]:
    from digest.connectors.hubspot import Hubspot

    stages = tuple(stage.strip() for stage in answer.split(",") if stage.strip())
    Hubspot(segment="region", token=Secret("unused"), stages=stages)
    return stages


def _segment_property(answer: str) -> str:
    from digest.connectors.hubspot import Hubspot

    Hubspot(segment=_one_line(answer), token=Secret("unused"), count_by="create_date")
    return answer


def _currency(answer: str) -> str:
    code = answer.upper()
    if code not in CURRENCIES:
        _refuse(f"No currency {answer!r}{nearest(code, sorted(CURRENCIES))}")
    return code


def _url(answer: str) -> str:
    if "://" not in answer:
        _refuse("A URL is scheme://user@host/database")
    try:
        password = urlsplit(answer).password
    except ValueError:
        password = None
    if password is not None:
        _refuse("The URL holds a password; leave it out, its place is asked for next")
    return answer


def _org_domain(answer: str) -> str:
    from digest.connectors.salesforce import Salesforce

    return Salesforce(
        domain=answer,
        dates=("CreatedDate",),
        segment="Country",
        consumer_key="",
        consumer_secret=Secret(""),
    ).host_stem


def _api_name(answer: str) -> str:
    from digest.connectors.salesforce import NAME

    if not NAME.fullmatch(answer):
        _refuse(f"No API name {answer!r}; see Setup, Object Manager, such as Region__c")
    return answer


def _maybe_api_name(answer: str) -> str:
    return _api_name(answer) if answer else ""


def _api_names(answer: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_api_name(name.strip()) for name in answer.split(",")))


def _host(answer: str) -> str:
    if not answer or "/" in answer or " " in answer or "@" in answer:
        _refuse("A host name is needed, such as mail.company.example")
    return answer


def _sender(answer: str) -> str:
    mailbox(answer)
    return answer


def _recipients(answer: str) -> tuple[str, ...]:
    addresses = tuple(dict.fromkeys(part.strip() for part in answer.split(",") if part.strip()))
    if not addresses:
        _refuse("At least one address is needed")
    for address in addresses:
        if problem := address_problem(address):
            _refuse(problem)
    return addresses


def _operators(answer: str) -> tuple[str, ...]:
    return _recipients(answer) if answer.strip(" ,") else ()


def _slack_channel(answer: str) -> str:
    from digest.channels.slack import Slack

    if answer:
        Slack(token=Secret("xoxb-"), channel=answer)
    return answer


def _place(answer: str) -> SecretPlace:
    kind, colon, place = answer.partition(":")
    if colon and kind in {"env", "file", "keyring"} and place.strip():
        return SecretPlace(kind, place.strip())
    if not _VARIABLE.fullmatch(answer):
        # The answer may be the secret itself, so it is not repeated.
        _refuse("That is no name of a variable, file:PATH or keyring:SERVICE/USER")
    return SecretPlace("env", answer)


# -------------------------------------------------------------------------------------------- files


def files(answers: Answers) -> Mapping[str, str]:
    """Return the text files by name; the worksheet is written beside them."""
    return {CONFIG: _config(answers)}


def quoted(text: str) -> str:
    """Return a text as a TOML string."""
    return json.dumps(text, ensure_ascii=False)


def _config(answers: Answers) -> str:
    blocks = (
        _head(answers),
        _calendar(answers),
        _promise(),
        *(_segment(name) for name in answers.segments),
        _source(answers),
        _channel(answers),
        *([_slack_block(answers.slack)] if answers.slack else []),
        _alerts_block(answers.operators),
    )
    return "\n".join(blocks)


def _id(title: str) -> str:
    ascii_title = title.casefold().replace("ä", "ae").replace("ö", "oe").replace("ü", "ue")
    words = re.findall(r"[a-z0-9]+", ascii_title)
    return "-".join(words)[:64].rstrip("-") or "leads"


def _head(answers: Answers) -> str:
    return f"""\
# One digest. `digest check {CONFIG}` says whether a send would work and what to change;
# the documentation's example.toml shows every setting.

# Names the digest in the ledger; changing it starts a new history.
id = {quoted(_id(answers.title))}
title = {quoted(answers.title)}
# en, de, de-CH, fr or it.
language = {quoted(answers.language)}
# Decides where a day begins.
timezone = {quoted(answers.timezone)}
# What you count, in your words; printed at the foot of every edition.
# lead_definition = "A lead is ..."
segment_kind = {quoted(answers.segment_kind)}
# What was sent, to whom, with which numbers.
ledger = "ledger.sqlite"

[schedule]
# Editions leave between these local times.
send_at = "07:30"
send_until = "11:00"
"""


def _calendar(answers: Answers) -> str:
    subdivision = (
        f"subdivision = {quoted(answers.subdivision)}\n"
        if answers.subdivision
        else '# subdivision = "..."\n'
    )
    return f"""\
[calendar]
# Public holidays of this place have no edition.
country = {quoted(answers.country)}
{subdivision}\
# Days off, half days and company closures on top:
# add = [2027-01-02]
# half = [2026-12-24]
# closures = [{{ first = 2026-12-28, last = 2026-12-31 }}]
"""


def _promise() -> str:
    return f"""\
[sla]
# Fill in the sheets 3 and 4 of this workbook; `digest worksheet check {WORKSHEET}` reads it back.
worksheet = {quoted(WORKSHEET)}
"""


def _segment(name: str) -> str:
    return f"""\
[[segments]]
name = {quoted(name)}
# What the source writes for it, when that is not its name:
# values = [{quoted(name)}]
"""


def _source(answers: Answers) -> str:
    source = answers.source
    if isinstance(source, Portal):
        return _portal_block(source)
    if isinstance(source, Org):
        return _salesforce(source, answers.currency)
    if isinstance(source, LeadList):
        return f"""\
[connector]
# One row per lead; only counts are taken from it.
type = "spreadsheet"
file = {quoted(source.file)}
# Columns with the lead's dates; it counts once, on the earliest.
dates = [{quoted(source.date_column)}]
segment = {quoted(source.segment_column)}
# Needed when dates carry a time without a zone:
# stored_in = "Europe/Zurich"
"""
    password = f"password = {source.password.toml()}\n" if source.password else ""
    return f"""\
[connector]
# One row per lead; only counts leave the database. Give the role nothing but SELECT.
type = "sql"
url = {quoted(source.url)}
{password}\
table = {quoted(source.table)}
# Columns with the lead's dates; it counts once, on the earliest.
dates = [{quoted(source.date_column)}]
segment = {quoted(source.segment_column)}
# Zone of time columns that have none.
stored_in = {quoted(source.stored_in)}
"""


def _portal_block(portal: Portal) -> str:
    scopes = [f"crm.objects.{portal.counted}.read", "crm.objects.contacts.read"]
    scopes += ["crm.objects.deals.read"] if portal.deals else []
    key = "" if isinstance(portal.access, App) else f"token = {portal.access.toml()}\n"
    counting = 'count_by = "create_date"\n'
    if portal.stages:
        counting = f"""\
# The stage that the SLA promises and every later one: records skip stages.
stages = [{", ".join(map(quoted, portal.stages))}]
"""
    if portal.customer_stage:
        counting += f"""\
# The stage that makes a customer, for close rates.
customer_stage = {quoted(portal.customer_stage)}
"""
    block = f"""\
[connector]
# Read scopes are enough, and no more is needed: {", ".join(dict.fromkeys(scopes))}.
type = "hubspot"
{key}\
object = {quoted(portal.counted)}
{counting}\
# Internal name of the property with the segment; its values go into `values` of a segment.
segment = {quoted(portal.segment_property)}
# Test leads and imports are left out, and counted as such:
# exclusions = [{{ name = "tests", where = [
#     {{ column = "hs_email_domain", op = "in", value = ["company.example"] }},
# ] }}]
"""
    if isinstance(portal.access, App):
        block += f"""
[connector.oauth]
# The app is the same for all portals, the refresh token is this portal's.
client_id = {quoted(portal.access.client_id)}
client_secret = {portal.access.client_secret.toml()}
refresh_token = {portal.access.refresh_token.toml()}
"""
    if portal.deals is not None:
        own = portal.deals.segment_property
        named = f"segment = {quoted(own)}" if own else '# segment = "region"'
        block += f"""
[connector.deals]
# The deals' own property; without it they are measured for the total only.
{named}
"""
    if portal.follow_up:
        block += """
[connector.follow_up_properties]
# What stands in this property about a lead; the values that mean accepted and rejected.
outcome = "hs_lead_status"
# accepted = ["OPEN_DEAL"]
# rejected = ["UNQUALIFIED"]

[follow_up]
# Business time within which sales promises the first response.
respond_within = "24 h"
"""
    return block


def _salesforce(org: Org, currency: str) -> str:
    login = f"consumer_secret = {org.secret.toml()}\n"
    if org.username:
        login = (
            f'login = "jwt"\nusername = {quoted(org.username)}\nprivate_key = {org.secret.toml()}\n'
        )
    sign = "" if org.deals_segment else "# "
    return f"""\
[connector]
# Salesforce counts; no record leaves it. Its user needs read and 'View All' on the objects, and no more.
type = "salesforce"
# My Domain of the org.
domain = {quoted(org.domain)}
# The External Client App that may ask.
consumer_key = {quoted(org.consumer_key)}
{login}\
# One record per lead.
object = {quoted(org.lead_object)}
# Fields with the lead's dates; it counts once, on the earliest.
dates = [{", ".join(quoted(name) for name in org.dates)}]
segment = {quoted(org.segment_field)}

# Close rates and deal sizes from opportunities; their segment, and the currency of an org that has only one.
{sign}[connector.deals]
{sign}segment = {quoted(org.deals_segment or org.segment_field)}
{sign}currency = {quoted(currency)}
{_won_deals(org)}\

# What sales did with the leads:
# [connector.follow_up_columns]
# clock_start = {quoted(org.dates[0])}
# [follow_up]
# respond_within = "24 h"
"""


def _won_deals(org: Org) -> str:
    if org.lead_object.casefold() == "lead":
        return ""
    sign = "" if org.deals_segment else "# "
    return f'# Only the object Lead is converted.\n{sign}customers = "won deals"\n'


def _channel(answers: Answers) -> str:
    relay = answers.relay
    security = "none" if relay.host in _LOCAL_HOSTS else "starttls"
    login = ""
    if relay.username and relay.password:
        login = f"username = {quoted(relay.username)}\npassword = {relay.password.toml()}\n"
    recipients = "".join(f"    {quoted(address)},\n" for address in answers.recipients)
    return f"""\
[channels.smtp]
host = {quoted(relay.host)}
# starttls (port 587), tls (465), or none (25) on this machine only.
security = {quoted(security)}
{login}\
sender = {quoted(relay.sender)}
# A person who answers:
# reply_to = "ana@company.example"
# One mail each; or {{ address = "...", language = "de-CH", segments = ["..."] }}.
recipients = [
{recipients}]
"""


def _slack_block(slack: SlackChannel) -> str:
    return f"""\
[channels.slack]
# A bot token (xoxb-...) with the scopes chat:write, channels:history and channels:read.
token = {slack.token.toml()}
# Invite the app to this channel.
channel = {quoted(slack.channel)}
# The chart as a reply to each message; needs the scopes files:write and files:read.
# chart = "thread"
"""


def _alerts_block(operators: tuple[str, ...]) -> str:
    listed = ", ".join(map(quoted, operators))
    told = f"[alerts]\nemail = [{listed}]\n"
    if not operators:
        told = '# [alerts]\n# email = "operations@company.example"\n'
    return f"""\
# Who is told when something is wrong: whoever runs this, never the team's list.
{told}
# A service outside that notices when nothing runs at all (the protocol of Healthchecks).
# [heartbeat]
# url = {{ env = "DIGEST_HEARTBEAT_URL" }}
"""
