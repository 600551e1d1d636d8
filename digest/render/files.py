"""An edition as files for a person to look at: what `digest render` and `digest demo` write."""

from __future__ import annotations

import json
import os
import tempfile
from datetime import datetime
from pathlib import Path

from digest.model import Edition, MailHeaders, Message, Recipient
from digest.render import slack
from digest.render.mime import pack
from digest.render.scorecard import scorecard_json
from digest.render.svg import waterfall_svg

NOBODY = Recipient("recipient@digest.example")
EXAMPLE_HEADERS = MailHeaders(sender="digest@digest.example")


def write_files(
    edition: Edition,
    message: Message,
    folder: Path,
    *,
    now: datetime,
    recipient: Recipient = NOBODY,
    headers: MailHeaders = EXAMPLE_HEADERS,
) -> tuple[Path, ...]:
    """Write the mail, the chart, slack.json and scorecard.json to a folder; return the files' paths.

    The HTML file shows the chart beside it; all else is as it would be sent to `recipient`. Each file
    appears whole or not at all, and nothing else in the folder is touched.
    """
    html = message.html
    for image in message.images:
        html = html.replace(f"cid:{image.cid}", image.filename)
    key = f"{edition.digest}/{edition.business_date}/render/{recipient.address}"
    mail = pack(message, recipient=recipient, headers=headers, key=key, sent_at=now)
    chat = json.loads(slack.pack(message, recipient=recipient, key=key, sent_at=now))
    scorecard = scorecard_json(edition, message.language)
    contents = {
        "digest.html": html.encode(),
        "digest.txt": message.text.encode(),
        "digest.eml": mail,
        **{image.filename: image.png for image in message.images},
        "waterfall.svg": waterfall_svg(edition, message.language).encode(),
        "slack.json": _json({name: chat[name] for name in ("text", "blocks")}),
        "scorecard.json": _json(scorecard),
    }
    folder.mkdir(parents=True, exist_ok=True)
    return tuple(_replace(folder / name, content) for name, content in contents.items())


def _json(value: object) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=2) + "\n").encode()


def _replace(path: Path, content: bytes) -> Path:
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(draft).chmod(0o644)
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    return path
