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


# Every class of these takes its time to be made, and no page of an edition needs one of them.
NOT_BEFORE_THEY_ARE_ASKED_FOR = (
    "sqlalchemy",
    "matplotlib",
    "digest.worksheet",
    "digest.figures",
    "digest.fleet",
)


def test_the_preview_answers_before_it_has_loaded_what_only_some_pages_need() -> None:
    program = f"import digest.preview.app, digest.render.confined; {SHOW}"
    done = subprocess.run(  # noqa: S603 - our own interpreter and arguments
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = json.loads(done.stderr.splitlines()[-1])

    early = [
        name
        for name in loaded
        if any(
            name == heavy or name.startswith(f"{heavy}.") for heavy in NOT_BEFORE_THEY_ARE_ASKED_FOR
        )
    ]
    assert "digest.preview.pages.edition" in loaded
    assert early == []
