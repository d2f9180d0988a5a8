"""The types of upsrs.js, as TypeScript's own compiler understands them in a page that uses them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
CLIENT = CHECKOUT / "upsrs" / "static" / "upsrs"
GUIDE = CHECKOUT / "docs" / "browser-client.md"

USE = """
import { follow, Following, type Filter, type Line, type Notification } from "/static/upsrs/upsrs.js";

const filter: Filter = { worklistLabel: "AI*", ScheduledProcedureStepPriority: "HIGH" };
const following: Following = follow(new URL("/ups-rs", location.href), {
  filter,
  heartbeatSeconds: 30,
  protocols: async () => ["ticket"],
  ticket: async (path: string) => path,
});
const table = new Map<string, Notification>();
following.addEventListener("state", ({ detail }) => {
  table.clear();
  for (const report of detail) table.set(report.workitemUID, report);
});
following.addEventListener(
  "notification",
  ({ detail: { workitemUID, workitem, progressInformation, eventId } }) => {
    const percent: number = progressInformation?.procedureStepProgress ?? 0;
    const start: string | undefined = workitem?.scheduledProcedureStepStartDateTime;
    console.log(workitemUID, percent, start, eventId?.toFixed());
  },
  { once: true },
);
const show = ({ state, reason, detail }: Line): string =>
  state === "stopped" && reason === "login" ? "log in" : detail;
show(following.line);
const later = follow("/ups-rs", { place: following.place, keep: true, resume: true });
later.close();
following.unsubscribe();

// @ts-expect-error no such state
follow("/ups-rs", { filter: { procedureStepState: "OPEN" } });
// @ts-expect-error no such option
follow("/ups-rs", { heartbeat: 30 });
// @ts-expect-error not every notification has its workitem
later.addEventListener("notification", ({ detail }) => detail.workitem.worklistLabel);
// @ts-expect-error read only
later.line = later.line;
"""
PATHS = {"/static/upsrs/*": [f"{CLIENT}/*"]}


def examples() -> list[str]:
    """The guide's pieces of JavaScript; those that go on from the first import what it does."""
    first, *others = re.findall(r"```js\n(.*?)```", GUIDE.read_text(), re.S)
    imported = first.splitlines(keepends=True)[0]
    return [first, *(imported + other for other in others)]


def test_types_fit_their_use_and_the_examples_of_the_guide(tmp_path):
    node, modules = shutil.which("node"), os.environ.get("UPSRS_NODE_MODULES", "")
    compiler = Path(modules, "typescript", "bin", "tsc")
    if node is None or not compiler.is_file():
        pytest.skip("UPSRS_NODE_MODULES names no node_modules with typescript")
    for number, text in enumerate([USE, *examples()]):
        (tmp_path / f"use{number}.ts").write_text(text)
    options = {
        "noEmit": True,
        "strict": True,
        "noImplicitAny": False,  # the guide's examples are JavaScript
        "exactOptionalPropertyTypes": True,
        "target": "es2022",
        "lib": ["es2022", "dom", "dom.iterable"],
        "module": "esnext",
        "moduleResolution": "bundler",
        "types": [],
        "paths": PATHS,
    }
    (tmp_path / "tsconfig.json").write_text(json.dumps({"compilerOptions": options}))
    done = subprocess.run(
        [node, compiler, "--project", tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_each_member_and_option_is_declared_and_no_other():
    script = (CLIENT / "upsrs.js").read_text()
    types = (CLIENT / "upsrs.d.ts").read_text()
    made = set(re.findall(r"^  (?:get )?([a-z]\w*)(?:\(.*\) \{| = )", script, re.M))
    _, _, declared = types.partition("class Following extends EventTarget {")
    members = set(re.findall(r"^  (?:readonly )?([a-z]\w*)[(:]", declared, re.M))
    assert made == members - {"addEventListener"} >= {"line", "place", "unsubscribe", "close"}
    asked = re.search(r"this\.#options = \{(.*?)\.\.\.options", script, re.S)
    assert asked
    options = set(re.findall(r"(\w+):", asked[1])) | {"place", "protocols", "ticket"}
    _, _, declared = types.partition("export interface Options {")
    assert options == set(re.findall(r"^  (\w+)\?:", declared.partition("\n}")[0], re.M))
