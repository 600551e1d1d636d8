"""What every scenario looks like in every language, looked at once by a person and then held fast."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from digest.model import Recipient
from digest.render import PACKERS, scorecard_json
from digest.render.locales import languages
from tests.render.editions import SCENARIOS, message

GOLDEN = Path(__file__).parent.parent / "golden"
LOCALES = languages()
PARTS = ("subject", "html", "txt", "json", "slack")
UPDATE = "python -m pytest tests/render/test_golden.py --golden-update"


def rendered(scenario: str, locale: str) -> dict[str, str]:
    edition = SCENARIOS[scenario]()
    sent = message(scenario, locale)
    assert len(sent.images) == 1
    scorecard = scorecard_json(edition, locale)
    nobody = Recipient("C0123456789")
    slack = PACKERS["slack"](sent, recipient=nobody, key="golden", sent_at=edition.as_of)
    return {
        "subject": f"{sent.subject}\n{sent.preheader}\n",
        "html": sent.html.replace("><", ">\n<") + "\n",
        "txt": sent.text,
        "json": json.dumps(scorecard, ensure_ascii=False, indent=1) + "\n",
        "slack": json.dumps(json.loads(slack), ensure_ascii=False, indent=1) + "\n",
    }


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_message_is_the_one_that_was_approved(
    scenario: str, locale: str, request: pytest.FixtureRequest
) -> None:
    folder = GOLDEN / locale
    for part, now in rendered(scenario, locale).items():
        file = folder / f"{scenario}.{part}"
        if request.config.getoption("--golden-update"):
            if os.environ.get("CI"):  # noqa: TID251 - the test run is an entry point
                pytest.fail("goldens are approved by a person, not in CI")
            folder.mkdir(parents=True, exist_ok=True)
            file.write_text(now, encoding="utf-8")
        elif not file.exists():
            pytest.fail(f"{file.name} was never approved; look at it and run: {UPDATE}")
        assert file.read_text(encoding="utf-8") == now, f"changed on purpose? then run: {UPDATE}"


def test_no_golden_is_left_over() -> None:
    wanted = {
        f"{locale}/{scenario}.{part}"
        for locale in LOCALES
        for scenario in SCENARIOS
        for part in PARTS
    }

    found = {file.relative_to(GOLDEN).as_posix() for file in GOLDEN.rglob("*") if file.is_file()}

    assert found <= wanted
