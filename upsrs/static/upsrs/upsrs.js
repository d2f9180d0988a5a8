/**
 * Following a worklist (UPS-RS) from a page: one subscription, kept alive over as many sockets as
 * it takes. Who comes back says where it stood, and hears what was missed; what comes twice is
 * dropped. No dependencies. How to use it: docs/browser-client.md; types: upsrs.d.ts.
 */

const FIRST_PAUSE_SECONDS = 0.5;
const LONGEST_PAUSE_SECONDS = 30;
const ANSWER_SECONDS = 10;

const LINE_BROKE = 1006;
const GONE = 4404;
const OURS = new Set([4003, 4008, 4009]); // close codes that trying again would only repeat

/** Follow what `options.filter` means of the worklist at `base`, the address of the service. */
export const follow = (base, options) => new Following(base, options);

/**
 * A subscription that is being followed. Its events, each with a `detail`:
 *
 * - `state`: all that matches now, as an array of notifications. It replaces what was known.
 * - `notification`: one change, in order, and once.
 * - `line`: what the connection is doing; also at any time in the property `line`.
 */
export class Following extends EventTarget {
  line = { state: "connecting", reason: "", detail: "Connecting …" };

  #options;
  #address;
  #probe;
  #subscription = "";
  #log = "";
  #standing = null; // the last eventId; null: the present state was not yet told
  #heard = 0; // events up to here are doubles
  #reports = null; // by workitem UID, while the present state is being told
  #socket = null;
  #wasOpen = false;
  #takesUp; // an equal subscription that waits: the one whose state was never told whole
  #attempt = 0;
  #pause; // the timer of the next attempt
  #silence; // the timer that notices a line that died without a word
  #lastWord = 0; // when the server was last heard, in ms
  #wasOffline = false;
  #listening = new AbortController();

  constructor(base, options = {}) {
    super();
    this.#options = { filter: {}, heartbeatSeconds: 20, resume: false, keep: false, ...options };
    const service = new URL(base, document.baseURI).href.replace(/\/+$/, "");
    this.#address = `${service.replace(/^http/, "ws")}/workitems/subscription`;
    this.#probe = `${service}/workitems?limit=0`;
    const { place, resume } = this.#options;
    this.#takesUp = resume;
    if (place) {
      [this.#subscription, this.#log] = [place.subscriptionUID, place.logId ?? ""];
      this.#standing = this.#heard = place.eventId;
    }
    const { signal } = this.#listening;
    document.addEventListener("visibilitychange", () => this.#wake(), { signal });
    addEventListener("offline", () => (this.#wasOffline = true), { signal });
    addEventListener("online", () => this.#wake(), { signal });
    addEventListener("pagehide", () => this.#leavePage(), { signal });
    addEventListener("pageshow", (event) => event.persisted && this.#connect(), { signal });
    queueMicrotask(() => this.#connect()); // whoever called still adds their listeners
  }

  /** Where it stands, to go on from on another page; null before the state was told. */
  get place() {
    if (this.#standing === null) return null;
    return { subscriptionUID: this.#subscription, eventId: this.#standing, logId: this.#log };
  }

  /** End the subscription itself: nothing waits on the server any more. */
  unsubscribe() {
    if (this.#subscription) {
      this.#say({ reason: "USER_REQUEST", subscriptionUID: this.#subscription });
    }
    this.#stop("ended", "Unsubscribed.");
  }

  /** Go away. The subscription waits on the server for a while, and `place` returns to it. */
  close() {
    this.#stop("closed", "Closed.");
  }

  // ---- One socket ----------------------------------------------------------------------------

  async #connect() {
    clearTimeout(this.#pause);
    if (this.#socket || this.line.state === "stopped") return;
    this.#tell("connecting", "", "Connecting …");
    this.#wasOpen = false;
    this.#expect(ANSWER_SECONDS);
    const { protocols: offered = [], ticket } = this.#options;
    const target = this.#target();
    const claim = (this.#socket = {}); // nobody else connects while a ticket is fetched
    let protocols;
    try {
      if (ticket) protocols = ["upsrs", `upsrs.ticket.${await ticket(new URL(target).pathname)}`];
      else protocols = typeof offered === "function" ? await offered() : offered;
    } catch (error) {
      if (this.#socket !== claim) return;
      return this.#lost(error?.status === 401 || error?.status === 403 ? 4401 : LINE_BROKE);
    }
    if (this.#socket !== claim) return;
    const socket = (this.#socket = new WebSocket(target, protocols));
    const isMine = () => this.#socket === socket;
    socket.onopen = () => isMine() && this.#opened();
    socket.onmessage = (event) => isMine() && this.#heardFrom(event.data);
    socket.onclose = (event) => isMine() && this.#lost(event.code);
  }

  #target() {
    if (!this.#subscription) return this.#address;
    const query = new URLSearchParams({ heartbeatSeconds: this.#options.heartbeatSeconds });
    if (this.#standing !== null) query.set("after", this.#standing);
    if (this.#standing !== null && this.#log) query.set("log", this.#log);
    return `${this.#address}/${this.#subscription}?${query}`;
  }

  #opened() {
    this.#wasOpen = true;
    this.#expect(ANSWER_SECONDS);
    const { filter, heartbeatSeconds } = this.#options;
    if (!this.#subscription) this.#say({ filter, heartbeatSeconds, resume: this.#takesUp });
  }

  #say(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #expect(seconds) {
    this.#lastWord = Date.now();
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#cut(), seconds * 1000);
  }

  #cut() {
    this.#drop();
    this.#lost(LINE_BROKE);
  }

  #drop() {
    clearTimeout(this.#silence);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close?.();
  }

  // ---- What is heard -------------------------------------------------------------------------

  #heardFrom(text) {
    this.#expect(2.5 * this.#options.heartbeatSeconds);
    const message = JSON.parse(text);
    if (!message.eventType) return this.#refused(message);
    if (message.subscription) this.#confirmed(message);
    else if (message.initialStateComplete) this.#stateIsComplete(message);
    else if (message.heartbeat) this.#standAt(message.eventId, message.logId);
    else if (message.report && this.#reports) this.#reports.set(message.workitemUID, message);
    else this.#event(message);
  }

  #confirmed({ subscription, subscriptionUID }) {
    const { status, resync, logId, reason } = subscription;
    if (status === "DELETED") {
      if (reason === "CONNECTION_CLOSURE") return this.#lost(GONE); // another page shared it, and left
      return this.#stop("ended", `The subscription was ended: ${reason}.`);
    }
    const isAnother = subscriptionUID !== this.#subscription || (this.#log && logId !== this.#log);
    if (resync || isAnother) [this.#standing, this.#heard] = [null, 0];
    [this.#subscription, this.#log] = [subscriptionUID, logId ?? ""];
    if (this.#standing === null) {
      this.#reports = new Map();
      this.#tell("connecting", "state", "Reading the present state …");
    } else this.#isLive();
  }

  #stateIsComplete({ eventId }) {
    const reports = [...(this.#reports?.values() ?? [])];
    [this.#standing, this.#heard, this.#reports] = [eventId, Math.max(this.#heard, eventId), null];
    this.#emit("state", reports);
    this.#isLive();
  }

  #event(message) {
    const { eventId } = message;
    if (eventId !== undefined && eventId <= this.#heard) return; // a double
    if (eventId !== undefined) this.#standAt(eventId, this.#log);
    this.#emit("notification", message);
  }

  #standAt(eventId, logId) {
    this.#attempt = 0;
    if (logId !== undefined && logId !== this.#log) return; // a number of another log says nothing
    this.#heard = Math.max(this.#heard, eventId);
    if (this.#standing !== null) this.#standing = this.#heard;
  }

  #isLive() {
    this.#attempt = 0;
    this.#tell("live", "", "Live");
  }

  #refused({ status, detail = "The server refused the request." }) {
    if (status >= 500 || status === 429) return this.#cut();
    this.#stop(status === 403 ? "forbidden" : "refused", detail);
  }

  // ---- Coming back ---------------------------------------------------------------------------

  async #lost(code) {
    this.#drop();
    this.#takesUp = this.#options.resume || (this.#standing === null && this.#subscription !== "");
    this.#reports = null;
    if (OURS.has(code)) return this.#stop("refused", `The server closed the line (${code}).`);
    // Without a place there is nowhere to go on from: the filter is asked for again.
    if (code === GONE || this.#standing === null) this.#forget();
    const longest = Math.min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** this.#attempt);
    this.#attempt = Math.min(this.#attempt + 1, 16);
    // Full jitter: all the pages of a server that restarts must not return at once.
    this.#wait(Math.random() * longest, navigator.onLine);
    if (!this.#wasOpen || code === 4401 || code === 4403) await this.#askWhy(code);
  }

  /** A browser is not told why a handshake was refused: a REST address says if it was the login. */
  async #askWhy(code) {
    const status = await this.#status();
    if (this.line.state === "stopped" || this.line.state === "live") return;
    if (status === 401 || status === 403) {
      this.#stop("login", "Your login has ended, or may not see this worklist: log in again.");
    } else if (code === 4403 && status) {
      this.#stop("forbidden", "Your login may not follow this worklist.");
    }
  }

  async #status() {
    const { protocols, ticket } = this.#options;
    if (ticket || typeof protocols === "function") return 204; // it says so itself
    try {
      const headers = { Accept: "application/dicom+json" };
      const answer = await fetch(this.#probe, { headers, redirect: "manual", cache: "no-store" });
      return answer.type === "opaqueredirect" ? 401 : answer.status; // led away to a login page
    } catch {
      return 0; // no answer: not the login
    }
  }

  #wait(seconds, isOnline) {
    const [reason, detail] = isOnline
      ? ["broke", "Connection lost. Returning …"]
      : ["offline", "This computer is offline."];
    this.#tell("waiting", reason, detail);
    this.#pause = setTimeout(() => this.#connect(), seconds * 1000);
  }

  /** The page is looked at again, or the network is back: timers may have slept, lines have died. */
  #wake() {
    if (document.visibilityState === "hidden" || this.line.state === "stopped") return;
    const quiet = Date.now() - this.#lastWord;
    const isStale = this.#wasOffline || quiet > 1500 * this.#options.heartbeatSeconds;
    this.#wasOffline = !navigator.onLine;
    if (this.line.state === "waiting" || (this.#socket && isStale)) {
      this.#drop();
      this.#attempt = 0;
      this.#connect();
    }
  }

  #leavePage() {
    if (this.line.state === "stopped") return;
    clearTimeout(this.#pause);
    if (!this.#options.keep && this.#subscription) {
      // No subscription waits for a page that is gone; one that comes back begins anew.
      this.#say({ reason: "CONNECTION_CLOSURE", subscriptionUID: this.#subscription });
      this.#forget();
    }
    this.#drop();
  }

  #forget() {
    [this.#subscription, this.#log, this.#standing, this.#heard] = ["", "", null, 0];
  }

  #stop(reason, detail) {
    if (this.line.state === "stopped") return;
    clearTimeout(this.#pause);
    this.#drop();
    this.#listening.abort();
    this.#tell("stopped", reason, detail);
  }

  #tell(state, reason, detail) {
    this.line = { state, reason, detail };
    this.#emit("line", this.line);
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
