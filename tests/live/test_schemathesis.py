"""Whatever schemathesis makes of the served OpenAPI document, each answer is one that it describes.

It is run as a stranger runs it: the address of the document, and a token. The seed is fixed and the
examples are few, so that each run of the tests sends the same requests in the same short time.
"""

from __future__ import annotations

import subprocess
import sys

from tests.live.parts import PATIENCE_SECONDS

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)

CONFIG = """
seed = 1
continue-on-failure = true
warnings = false

[generation]
max-examples = 6
no-shrink = true
database = "none"

# What does not fit the schemas comes with the examples drawn at random: all ways not to fit them
# would be some thousand requests.
[phases.coverage.generation]
mode = "positive"
"""


def test_no_answer_is_a_fault_or_undocumented(postgres_backend, start, tmp_path):
    service = start(
        postgres_backend, env={"UPSRS_MAX_FAILED_LOGINS_PER_MINUTE": "0"}
    ).rest.removesuffix("/workitems")
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", f"--config-file={config}", "run"),
            f"{service}/openapi.json",
            f"--header=Authorization: Token {postgres_backend.tokens['alice']}",
            f"--checks={','.join(CHECKS)}",
            "--no-color",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=20 * PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-8000:]}\n{done.stderr[-2000:]}"
    for phase in ("Examples", "Coverage", "Fuzzing", "Stateful"):
        assert f"✅ {phase}" in done.stdout, done.stdout
