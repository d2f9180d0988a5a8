// The drawer: one workitem as the server shows it to this user, and what may be done with it.

const drawer = document.getElementById("ups-drawer");
const content = document.getElementById("ups-drawer-content");
const said = document.getElementById("ups-said");
const REFRESH_MS = 150;
const NO_ANSWER = "No answer from the server: try again in a moment.";
const FROM_SCRIPT = { "X-Requested-With": "upsrs-board" };

let shown = null; // { uid, address }
let refreshing;

/** Show a workitem; `address` is that of its page. */
export async function openDrawer(uid, address) {
  shown = { uid, address };
  say("");
  content.replaceChildren(loading());
  if (!drawer.open) drawer.showModal();
  await load();
}

/** It changed: if it is before somebody, show how it is now. */
export function refreshDrawer(uid) {
  if (!drawer.open || shown?.uid !== uid) return;
  clearTimeout(refreshing);
  refreshing = setTimeout(load, REFRESH_MS);
}

function loading() {
  const skeleton = document.createElement("div");
  skeleton.className = "ups-skeleton";
  skeleton.innerHTML = "<i></i><i></i><i></i>";
  return skeleton;
}

async function load() {
  const asked = shown;
  let answer;
  try {
    answer = await fetch(asked.address, { headers: FROM_SCRIPT });
  } catch {
    return say(NO_ANSWER, true);
  }
  if (asked !== shown) return;
  if (!answer.ok) {
    content.replaceChildren();
    return say(await sentence(answer), true);
  }
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (asked === shown) renew(page.querySelector(".ups-details"));
}

/** Only what differs is replaced: nobody loses a half-written reason, or their place. */
function renew(fresh) {
  const old = content.querySelector(".ups-details");
  if (!old || old.dataset.state !== fresh.dataset.state) return content.replaceChildren(fresh);
  for (const part of fresh.querySelectorAll("[data-part]")) {
    const before = old.querySelector(`[data-part="${part.dataset.part}"]`);
    const isInHand = part.dataset.part === "acts" && before?.querySelector("details[open]");
    if (before && !isInHand && !before.isEqualNode(part)) before.replaceWith(part);
  }
}

async function sentence(answer) {
  if (answer.headers.get("Content-Type")?.includes("json")) return (await answer.json()).message;
  if (answer.status === 403) return "The page is out of date: reload it, then try again.";
  return `The server failed (${answer.status}): try again in a moment.`;
}

function say(text, isBad = false) {
  said.textContent = text;
  said.dataset.bad = isBad;
  said.setAttribute("role", isBad ? "alert" : "status");
}

content.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const button = event.submitter ?? form.querySelector("button");
  const token = document.querySelector("#ups-csrf input").value;
  button.disabled = true;
  say("");
  try {
    const headers = { ...FROM_SCRIPT, "X-CSRFToken": token };
    const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)), headers });
    say(await sentence(answer), !answer.ok);
    said.focus();
    if (answer.status === 400) return;
    form.closest("details")?.removeAttribute("open");
    await load();
  } catch {
    say(NO_ANSWER, true);
  } finally {
    button.disabled = false;
  }
});

content.addEventListener(
  "toggle",
  ({ target }) => target.open && target.querySelector("input, textarea, button").focus(),
  { capture: true }, // it does not bubble
);

drawer.addEventListener("click", (event) => event.target === drawer && drawer.close());
drawer.addEventListener("close", () => {
  shown = null;
  content.replaceChildren();
});
