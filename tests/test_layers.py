"""The import rules that import-linter cannot say, and proof that those it can say bite."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = [
    "actions",
    "sla",
    "calculator",
    "forecast",
    "followup",
    "workdays",
    "editions",
    "model",
    "errors",
    "notation",
    "whatif",
]
OUTSIDE = {"os", "sys", "time", "random", "pathlib", "socket", "subprocess"}
ALLOWED = ({"digest", "holidays"} | set(sys.stdlib_module_names)) - OUTSIDE


def _top_level_names(source: str) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("module", CORE)
def test_the_core_knows_no_clock_no_file_and_no_vendor(module: str) -> None:
    assert _top_level_names((ROOT / f"digest/{module}.py").read_text()) - ALLOWED == set()


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("digest/model.py", "import digest.settings", "direction"),
        ("digest/connectors/spreadsheet/__init__.py", "import digest.connectors.sql", "siblings"),
        ("digest/channels/smtp.py", "import digest.calculator", "adapters skip the core"),
        ("digest/render/text.py", "import digest.channels", "direction"),
        ("digest/compose.py", "import openpyxl", "one door: openpyxl"),
        ("digest/somewhere_new.py", "", "digest.somewhere_new"),
    ],
)
def test_a_broken_import_rule_is_reported(
    tmp_path: Path, module: str, line: str, contract: str
) -> None:
    shutil.copytree(
        ROOT / "digest", tmp_path / "digest", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    target = tmp_path / module
    target.write_text((target.read_text() if target.exists() else '"""New."""\n') + f"\n{line}\n")

    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command as c; c()",
            "--no-cache",
        ],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert contract in done.stdout
    assert "BROKEN" in done.stdout
