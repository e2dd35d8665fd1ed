"""The running service keeps what its OpenAPI document promises: schemathesis calls it as that allows.

LOGSERVICE_TEST_CONTRACT_SECONDS=150 goes on making up calls for as long.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import Lend
from tests.serving import TOKENS, send, serving

HERE = Path(__file__).parent
KEY = "sk-alices-laptop-key-000001"
#: Made-up calls of each operation, beside those that try the edges of every schema.
EXAMPLES = 4


def test_the_service_keeps_its_document(lend: Lend, tmp_path: Path) -> None:
    """Every status and body is documented, what fits is taken and nothing else, and nothing is a 5xx."""
    unlimited = {"LOGSERVICE_TOKEN_RATE_LIMIT": "off"}
    with lend(tmp_path) as url, serving(tmp_path, url=url, environ=unlimited) as service:
        connection = service.open()
        event = {"username": "alice", "token_name": "laptop", "token_key": KEY, "model_name": "gpt-4o"}
        assert send(connection, "POST", "/api/log/", user="gateway", body=event)[0] == 200
        connection.close()
        done = subprocess.run(
            [
                *(
                    Path(sys.executable).with_name("schemathesis"),
                    "--config-file",
                    HERE / "schemathesis.toml",
                ),
                *("run", f"{service.url}/openapi.json", "--seed", "7", *_how_long()),
            ],
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": "",
                "HOOKS": str(HERE / "hooks.py"),
                "SERVICE_URL": service.url,
                "ACCESS_TOKEN": TOKENS["root"],
                "API_KEY": KEY,
            },
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    assert "No issues found" in done.stdout


def _how_long() -> list[str]:
    seconds = os.environ.get("LOGSERVICE_TEST_CONTRACT_SECONDS")
    return ["--max-time", seconds] if seconds else ["--max-examples", str(EXAMPLES)]
