"""Proves beforehand that a count would work, and that the role can do nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from digest.connectors.sql import counting, query
from digest.connectors.sql.query import Bounds
from digest.connectors.sql.reflection import name_parts
from digest.connectors.sql.session import Reader, address, read, source_name
from digest.errors import ConfigError, DigestError
from digest.model import Finding, LeadCounts, Period, Segment, add_months, month_start

if TYPE_CHECKING:
    from digest.connectors.sql import Sql

SAMPLE = 1_000
LARGE = 1_000_000
DEAL_MONTHS = 6
WRITING = ("INSERT", "UPDATE", "DELETE", "TRUNCATE")
MYSQL_WRITING = (
    "ALL PRIVILEGES", "INSERT", "UPDATE", "DELETE", "DROP", "ALTER", "CREATE", "TRIGGER", "FILE", "SUPER",
    "GRANT OPTION", "EXECUTE",
)  # fmt: skip

POSTGRESQL_ROLE = sa.text(
    "SELECT current_user, r.rolsuper,"
    " has_table_privilege(c.oid, :privileges),"
    " pg_has_role('pg_execute_server_program', 'MEMBER')"
    " OR pg_has_role('pg_write_server_files', 'MEMBER')"
    " OR pg_has_role('pg_write_all_data', 'MEMBER')"
    " FROM pg_catalog.pg_roles r, pg_catalog.pg_class c"
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " WHERE r.rolname = current_user AND c.relname = :name"
    " AND (n.nspname = :schema OR (CAST(:schema AS text) IS NULL AND pg_table_is_visible(c.oid)))"
)


def check(
    sql: Sql, period: Period, segments: Sequence[Segment], now: datetime
) -> tuple[Finding, ...]:
    """Return what a run would meet, errors as findings."""
    try:
        source = source_name(address(sql))
        findings = read(sql, lambda reader: tuple(_findings(reader, sql, period, source)))
    except DigestError as error:
        return _errors(error)
    if any(finding.level == "error" for finding in findings):
        return findings
    return (*findings, *_counted(sql, period, segments, now), *_others(sql, period, segments, now))


def _errors(error: DigestError) -> tuple[Finding, ...]:
    mistakes = error.mistakes if isinstance(error, ConfigError) else (str(error),)
    return tuple(Finding("error", "sql", mistake.removeprefix("sql: ")) for mistake in mistakes)


def _findings(reader: Reader, sql: Sql, period: Period, source: str) -> Iterator[Finding]:
    relation = counting.lead_relation(reader, sql)
    leads = counting.leads_in(relation, sql)
    yield Finding("ok", "sql", f"{source}: {relation.name} and its columns can be read")
    yield from ROLES.get(reader.dialect, _unknown_role)(reader, sql)
    yield from _values(reader, sql, leads)
    yield from _midnights(sql, leads, period)
    yield from _plan(reader, leads, period)
    if sql.deals is not None and sql.customer is None:
        yield Finding(
            "warning",
            "sql deals",
            "without `customer` every won deal counts as one customer, and the cohort method cannot be "
            "measured; name the lead column with the date of becoming a customer",
        )


# --------------------------------------------------------------------------------------- what may it do


def _postgresql_role(reader: Reader, sql: Sql) -> Iterator[Finding]:
    if sql.table is None:
        yield from _unknown_role(reader, sql)
        return
    name, schema = name_parts(sql.table)
    rows = reader.all(
        POSTGRESQL_ROLE, {"privileges": ", ".join(WRITING), "name": name, "schema": schema}
    )
    for role, superuser, writes, server in rows:
        what = (
            "is a superuser"
            if superuser
            else f"can write to {sql.table}"
            if writes
            else "may write all data or run programs on the server"
            if server
            else None
        )
        yield _role(role, what, _postgresql_recipe(sql, name, schema or "public"))


def _postgresql_recipe(sql: Sql, name: str, schema: str) -> str:
    database = address(sql).database or "sales"
    return (
        "CREATE ROLE digest_reader LOGIN PASSWORD '...'; "
        f'GRANT CONNECT ON DATABASE "{database}" TO digest_reader; '
        f'GRANT USAGE ON SCHEMA "{schema}" TO digest_reader; '
        f'GRANT SELECT ON "{schema}"."{name}" TO digest_reader; '
        "better still, SELECT on a view that has only the date and segment columns"
    )


def _mysql_role(reader: Reader, sql: Sql) -> Iterator[Finding]:
    name, schema = name_parts(sql.table or "leads")
    database = schema or address(sql).database or "sales"
    grants = [
        str(row[0])
        for row in reader.all(sa.text("SHOW GRANTS"))
        if _reaches(str(row[0]), database, name)
    ]
    role = str(reader.one(sa.text("SELECT current_user(), :one"), {"one": 1})[0])
    found = sorted(
        {word for grant in grants for word in _privileges(grant) if word in MYSQL_WRITING}
    )
    what = f"can {', '.join(found)}" if found else None
    yield _role(
        role,
        what,
        "CREATE USER digest_reader IDENTIFIED BY '...'; "
        f"GRANT SELECT ON `{database}`.`{name}` TO digest_reader",
    )


def _reaches(grant: str, database: str, table: str) -> bool:
    """Whether a grant may concern the table; only one that names another table surely does not."""
    named = re.search(r" ON `([^`]+)`\.`([^`]+)` TO ", grant)
    return named is None or named.groups() == (database, table)


def _privileges(grant: str) -> tuple[str, ...]:
    listed = grant.upper().removeprefix("GRANT ").partition(" ON ")[0]
    own = tuple(word.partition("(")[0].strip() for word in listed.split(","))
    return (*own, "GRANT OPTION") if "WITH GRANT OPTION" in grant.upper() else own


def _role(role: str, what: str | None, recipe: str) -> Finding:
    if what is None:
        return Finding("ok", "sql role", f"{role} can only read")
    return Finding(
        "error",
        "sql role",
        f"{role} {what}; a read-only session is no lock, so give the digest a role of its own: {recipe}",
    )


def _file_role(reader: Reader, sql: Sql) -> Iterator[Finding]:
    del sql
    yield Finding("ok", "sql role", f"the {reader.dialect} file is opened read-only")


def _unknown_role(reader: Reader, sql: Sql) -> Iterator[Finding]:
    yield Finding(
        "warning",
        "sql role",
        f"what this role may do on {reader.dialect} was not checked; make sure it holds SELECT on "
        f"{sql.table or 'the tables of custom_sql'} and nothing else",
    )


ROLES: dict[str, Callable[[Reader, Sql], Iterator[Finding]]] = {
    "postgresql": _postgresql_role,
    "mysql": _mysql_role,
    "mariadb": _mysql_role,
    "sqlite": _file_role,
    "duckdb": _file_role,
}


# ------------------------------------------------------------------------------------- what is in there


def _values(reader: Reader, sql: Sql, leads: query.Leads) -> Iterator[Finding]:
    for name, column in zip(sql.dates, leads.dates, strict=True):
        wrong = counting.misfits(reader, column, leads.clock, SAMPLE)
        if wrong:
            yield Finding(
                "error",
                f"sql dates {name}",
                f"{wrong:,} of {SAMPLE:,} sampled values at most are not written as "
                f"{leads.clock.kind}; set format to how they are written, or mend them in a view",
            )


def _midnights(sql: Sql, leads: query.Leads, period: Period) -> Iterator[Finding]:
    days = leads.clock.confused(period)
    if days:
        yield Finding(
            "warning",
            "sql stored_in",
            f"in {leads.clock.zone} the clock is turned back past the start of {', '.join(map(str, days))}; "
            f"leads of that hour cannot be told apart; store {', '.join(sql.dates)} with a time zone",
        )


def _plan(reader: Reader, leads: query.Leads, period: Period) -> Iterator[Finding]:
    if reader.dialect != "postgresql":
        return
    bounds = Bounds.of(leads.clock, period, whole=True)
    statement = query.total(query.rows_of(leads, bounds))
    plan = reader.one(query.Explained(statement))[0]
    scanned = [node for node in _nodes(plan[0]["Plan"]) if node.get("Node Type") == "Seq Scan"]
    for node in scanned:
        size = reader.one(
            sa.text("SELECT reltuples FROM pg_catalog.pg_class WHERE oid = to_regclass(:name)"),
            {"name": f'"{node["Relation Name"]}"'},
        )
        if size[0] is not None and size[0] > LARGE:
            yield Finding(
                "warning",
                "sql plan",
                f"PostgreSQL reads all {size[0]:,.0f} rows of {node['Relation Name']} for one month; put an "
                "index on the date column",
            )


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def _counted(
    sql: Sql, period: Period, segments: Sequence[Segment], now: datetime
) -> Iterator[Finding]:
    try:
        counts = counting.count_leads(sql, period, segments, now)
    except DigestError as error:
        yield from _errors(error)
        return
    yield Finding(
        "ok", "sql count", f"{counts.total:,} leads from {period.start} to before {period.end}"
    )
    yield from _silent(counts, segments)


def _silent(counts: LeadCounts, segments: Sequence[Segment]) -> Iterator[Finding]:
    heard = {row.segment for row in counts.rows}
    silent = [segment.name for segment in segments if segment.name not in heard]
    if silent and counts.unknown:
        shown = ", ".join(f"{value!r} ({leads})" for value, leads in counts.unknown[:10])
        yield Finding(
            "warning",
            "sql segments",
            f"no lead belongs to {', '.join(silent)}, while these values belong to no segment: {shown}; "
            "compare the values of the segments with the column",
        )


def _others(
    sql: Sql, period: Period, segments: Sequence[Segment], now: datetime
) -> Iterator[Finding]:
    if sql.deals is not None:
        yield from _deals(sql, period, segments, now)
    if sql.follow_up_columns is not None:
        try:
            rows = sql.follow_up(period=period, segments=segments, now=now)
        except DigestError as error:
            yield from _errors(error)
        else:
            yield Finding("ok", "sql follow-up", f"{len(rows):,} qualified leads")


def _deals(
    sql: Sql, period: Period, segments: Sequence[Segment], now: datetime
) -> Iterator[Finding]:
    # Deals close slowly: on the first days of a month none has, whatever the settings say.
    since = add_months(month_start(period.start), -DEAL_MONTHS)
    window = replace(period, start=since)
    try:
        statistics = sql.deal_statistics(window=window, segments=segments, now=now)
    except DigestError as error:
        yield from _errors(error)
        return
    won = sum(entry.won for entry in statistics.segments)
    lost = sum(entry.lost for entry in statistics.segments)
    if won + lost:
        yield Finding("ok", "sql deals", f"{won:,} won and {lost:,} lost deals since {since}")
    else:
        yield Finding(
            "warning",
            "sql deals",
            f"no deal since {since} is won or lost; compare won and lost with the values of the column",
        )
