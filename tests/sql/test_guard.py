"""The guard of custom_sql: every hostile sample is refused, every plain question passes."""

from __future__ import annotations

import pytest

from digest.connectors.sql import Sql
from digest.connectors.sql.guard import objections

HOSTILE = {
    "postgresql": (
        "select pg_read_file('/etc/passwd')",
        "select pg_sleep(10) from leads",
        "select * from dblink('x','y') as t(a int)",
        "select 1; drop table leads",
        "select * into x from leads",
        "select * from leads for update",
        "with d as (delete from leads returning *) select * from d",
        "with i as (insert into leads values (1) returning *) select * from i",
        "copy leads to program 'sh'",
        "select lo_import('/etc/passwd')",
        "select * from leads -- x",
        "select /* x */ 1",
        "select $$a$$",
        "select * from pg_shadow",
        "select * from pg_catalog.pg_authid",
        "select set_config('a','b',false)",
        "select nextval('s')",
        "select current_setting('x')",
        "select query_to_xml('delete from leads',true,true,'')",
        "select * from leads union select * from pg_user",
        "select 'x'::regclass",
        "do 'begin end'",
        "set role postgres",
        "explain analyze delete from leads",
        "call p()",
        "values (1)",
        "table leads",
        "select * from generate_series(1,1000000000)",
        "select xmlparse(document 'x')",
        "vacuum",
        "lock table leads",
        "select e'\\\\x'",
        "select pg_terminate_backend(1)",
        "merge into leads using x on true when matched then delete",
        "truncate leads",
        "select (select pg_ls_dir('/'))",
        "select * from leads where seg = (select usename from pg_user limit 1)",
        "select * from leads order by pg_sleep(1)",
        "select * from leads limit (select pg_sleep(1))",
        "select * from leads, lateral (select pg_sleep(1)) s",
        "select leads.*, row_number() over (order by pg_sleep(1)) from leads",
        "select ts at time zone pg_read_file('x') from leads",
        "select * from leads tablesample system (pg_sleep(1))",
        "select * from rows from (pg_sleep(1))",
        "select a operator(pg_catalog.+) b from leads",
        "select array(select 1)",
        "select * from xmltable('x' passing y columns z int)",
        "select cast(x as evil) from leads",
        "select * from unnest(array[1])",
        "select coalesce(lo_unlink(1),0)",
    ),
    "mysql": (
        "select /*! sleep(1) */",
        "select sleep(10)",
        "select load_file('/etc/passwd')",
        "select * into outfile '/tmp/x' from leads",
        "select * into dumpfile 'x' from leads",
        "select benchmark(1000,md5('x'))",
        "select @@version",
        "select @a := 1",
        "select * from mysql.user",
        "select 1 # x",
        "select * from leads lock in share mode",
        "select * from leads for update",
        "select get_lock('a',10)",
        "handler leads open",
        "load data infile 'x' into table leads",
        "select 'a\\' , sleep(1)'",
        "prepare s from 'x'",
        "select * from leads procedure analyse()",
        "select * from information_schema.tables",
        "replace into leads values (1)",
        "select extractvalue(1,concat(0x7e,version()))",
        "select sys_exec('x')",
        "select * from json_table('[]','$[*]' columns(a int path '$')) t",
        "select if(1,sleep(1),0)",
        "delete from leads",
        "select user()",
        "select `x` from leads; select 1",
        "select * from leads into @x",
        "select uuid_short()",
        "select master_pos_wait('a',1)",
    ),
    "mssql": (
        "exec xp_cmdshell 'x'",
        "select * from openrowset('x','y','z')",
        "select * from opendatasource('x','y').d.dbo.t",
        "select * into x from leads",
        "waitfor delay '0:0:10'",
        "select * from leads with (tablockx)",
        "select * from sys.objects",
        "select * from leads option (maxdop 1)",
        "select @@version",
        "select 1 drop table leads",
        "select * from leads go drop table x",
        "exec('x')",
        "select * from openquery(s,'delete from x')",
        "declare @x int",
        "select next value for s",
        "select * from fn_trace_gettable('x',1)",
        "select * from master.dbo.x",
        "select host_name()",
        "select * from leads for xml path('')",
        "bulk insert x from 'y'",
        "select 1; select 2",
        "insert into x select 1",
        "update leads set x=1",
        "select * from string_split('a','b')",
        "select newid()",
        "select * from leads cross apply sys.dm_exec_sql_text(x)",
    ),
    "sqlite": (
        "select load_extension('x')",
        "select readfile('/etc/passwd')",
        "select writefile('a','b')",
        "attach 'x' as y",
        "pragma table_info(x)",
        "select * from pragma_table_info('x')",
        "select * from sqlite_master",
        "select randomblob(1000000000)",
        "select zeroblob(1000000000)",
        "with recursive t as (select 1 union all select 1 from t) select * from t where edit('x')",
        "select fts3_tokenizer('x')",
        "vacuum into 'x'",
        "select 1; delete from leads",
        "delete from leads",
        "select * from generate_series(1,10)",
        "select hex(1)",
        "select * from leads -- x",
        "insert into leads values(1)",
        "update leads set x=1",
        "drop table leads",
        "create table x(a)",
        "select * from json_each('[]')",
        "detach x",
        "reindex",
        "select sqlite_version()",
        "select printf('%.*c', 100000000, 'x')",
    ),
    "duckdb": (
        "select * from read_csv('/etc/passwd')",
        "select * from '/etc/passwd'",
        "from leads",
        "copy leads to 'x'",
        "install httpfs",
        "load httpfs",
        "select * from read_text('/etc/passwd')",
        "select getenv('HOME')",
        "attach 'x'",
        "select * from duckdb_settings()",
        "pragma x",
        "export database 'x'",
        "select * from glob('*')",
        'select * from "x.csv"',
        "call x()",
        "set x=1",
        "select * from range(1000000)",
        "describe leads",
        "select * from sniff_csv('x')",
        "select query('x')",
        "select * from query_table('x')",
        "summarize leads",
        "select system('x')",
        "select 1; select 2",
        "delete from leads",
        "select * from parquet_scan('x')",
        "insert into leads values (1)",
        "select nextval('s')",
    ),
}
PLAIN = (
    """select id, region as seg, created_at as ts from crm.leads l join regions r on r.id = l.region_id
    where l.status <> 'spam' and created_at >= '2026-01-01';""",
    """with a as (select lower(trim(x)) as seg, min(ts) as ts from leads group by 1)
    select * from a where seg in ('a', 'b') order by ts limit 10""",
    """select cast(ts as date) ts, case when a is null then 'x' else coalesce(b, 'y') end seg from leads
    where not exists (select 1 from spam s where s.id = leads.id)""",
    "select count(*) n, region from leads group by region having count(*) > 1",
)
DIALECTS = (
    "postgresql", "mysql", "mariadb", "mssql", "sqlite", "duckdb", "snowflake", "bigquery", "trino",
    "clickhousedb", "oracle", "databricks", "redshift",
)  # fmt: skip


@pytest.mark.parametrize("dialect", HOSTILE)
def test_no_hostile_statement_passes(dialect: str) -> None:
    assert len(HOSTILE[dialect]) >= 25
    assert [sample for sample in HOSTILE[dialect] if not objections(sample, dialect)] == []


@pytest.mark.parametrize("dialect", DIALECTS)
def test_plain_questions_pass_on_every_database(dialect: str) -> None:
    found = {sample: objections(sample, dialect) for sample in PLAIN}
    assert {sample: words for sample, words in found.items() if words} == {}


def test_what_is_refused_is_named() -> None:
    assert objections("select pg_sleep(1) from leads", "postgresql") == (
        "uses PG_SLEEP, which is not among the allowed functions and clauses",
    )


def custom(statement: str, *, allow: bool = True, date_type: str | None = "text") -> Sql:
    return Sql(
        url="sqlite:///leads.db",
        custom_sql=statement,
        allow_custom_sql=allow,
        date_type=date_type,  # type: ignore[arg-type] # a value of the test
        dates=("ts",),
        segment="seg",
    )


def test_custom_sql_is_off_unless_allowed() -> None:
    with pytest.raises(ValueError, match="allow_custom_sql = true"):
        custom("select seg, ts from leads", allow=False)


def test_custom_sql_needs_the_type_of_its_dates() -> None:
    with pytest.raises(ValueError, match="date_type: required"):
        custom("select seg, ts from leads", date_type=None)


def test_hostile_custom_sql_is_refused_with_the_settings() -> None:
    with pytest.raises(ValueError, match="uses LOAD_EXTENSION"):
        custom("select load_extension('x')")
