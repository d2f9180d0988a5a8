"""The client without the app: the built wheel and ``websockets``, as the guide installs them.

Nothing is downloaded: pip installs the wheel, and websockets is copied from where it is.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import websockets

from tests.client.channel import Channel, Line, running
from tests.client.foreign import Foreign

CHECKOUT = Path(__file__).resolve().parents[2]

PROGRAM = """
import asyncio, importlib.util, json, pkgutil, sys
import upsrs.client, upsrs.client.sync
for module in pkgutil.walk_packages(upsrs.client.__path__, "upsrs.client."):
    __import__(module.name)
url, foreign = sys.argv[1:]

async def first():
    async with upsrs.client.follow(url) as worklist:
        return (await anext(worklist)).event_id

with upsrs.client.sync.follow(url) as worklist:
    heard = [next(worklist).event_id, asyncio.run(first())]
with upsrs.client.sync.listen(foreign, ae_title="AI1", workitem_uid="1.2.3") as reports:
    heard.append(next(reports).state)
upsrs.client.sync.Worklist(foreign).claim("1.2.3").cancel()
there = [name for name in ("django", "channels", "pydicom") if importlib.util.find_spec(name)]
print(json.dumps({"heard": heard, "there": there, "where": upsrs.__file__}))
"""


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """Of an environment that has the wheel and websockets, and no more."""
    build = ("hatchling", "build", "--target", "wheel", "--directory", str(tmp_path / "wheel"))
    subprocess.run([sys.executable, "-m", *build], cwd=CHECKOUT, check=True, capture_output=True)
    [wheel] = (tmp_path / "wheel").glob("*.whl")
    guide = (CHECKOUT / "docs/client.md").read_text()
    [install] = re.findall(r"^pip (install --no-deps) django-upsrs$", guide, re.MULTILINE)
    assert re.search(r"^pip install 'websockets", guide, re.MULTILINE)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    python = tmp_path / "venv/bin/python"
    pip = (sys.executable, "-m", "pip", "--python", str(python), *install.split())
    quietly = ("--quiet", "--no-index", "--no-compile", "--disable-pip-version-check")
    subprocess.run([*pip, *quietly, wheel], check=True)
    [packages] = (tmp_path / "venv/lib").glob("python*/site-packages")
    shutil.copytree(Path(websockets.__file__).parent, packages / "websockets")
    return python


def test_the_client_runs_where_there_is_no_django(python, tmp_path):
    async def script(line: Line) -> None:
        await line.begin()
        await line.event(7)
        await line.stay()

    with running(Channel(script)) as channel, running(Foreign()) as foreign:
        foreign.add("1.2.3")
        done = subprocess.run(
            [python, "-I", "-c", PROGRAM, channel.url, foreign.url],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["heard"] == [7, 7, "SCHEDULED"]
    assert told["there"] == []
    assert Path(told["where"]).is_relative_to(tmp_path)
    assert foreign.workitems["1.2.3"]["00741000"]["Value"] == ["CANCELED"]
