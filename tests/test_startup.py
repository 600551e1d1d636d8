"""What the command line loads before it knows what it is asked to do."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {
    "pandas", "numpy", "matplotlib", "sqlalchemy", "openpyxl", "xlsxwriter", "python_calamine",
    "holidays", "mjml", "css_inline", "jinja2", "babel", "PIL", "aiosmtpd", "smtplib", "hubspot",
    "simple_salesforce", "slack_sdk", "structlog", "pydantic", "rich", "sqlglot",
}  # fmt: skip
SHOW = "import json, sys; print(json.dumps(sorted(sys.modules)), file=sys.stderr)"


@pytest.mark.parametrize("arguments", [["--help"], ["send", "--help"], ["--version"]])
def test_help_loads_no_vendor(arguments: list[str]) -> None:
    program = f"""
import sys
sys.argv = ["digest", *{arguments!r}]
from digest.__main__ import main
try:
    main()
except SystemExit:
    pass
{SHOW}
"""
    done = subprocess.run(  # noqa: S603 - our own interpreter and arguments
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = {name.partition(".")[0] for name in json.loads(done.stderr.splitlines()[-1])}

    assert "digest" in done.stdout
    assert loaded & HEAVY == set()
