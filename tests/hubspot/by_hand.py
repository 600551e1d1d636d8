"""Runs `digest` against the fake portal: a real config, with a portal that is none.

python -m tests.fakes.hubspot --port 8808 --contacts 20000
HUBSPOT_TOKEN=pat-planted-7f3a9c python -m tests.hubspot.by_hand 8808 check digest.toml
"""

from __future__ import annotations

import sys

from digest.__main__ import main
from digest.connectors.hubspot import Hubspot
from digest.connectors.hubspot.transport import Wire

if __name__ == "__main__":
    port = int(sys.argv.pop(1))  # never a host: a token of a real portal stays on this machine
    Hubspot.wire = Wire(host=f"http://127.0.0.1:{port}")
    main()
