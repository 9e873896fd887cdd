/* A conversation from start to end: asks for a session, connects, connects again when the network
   drops, and says in one word how it stands.

   `life`: "ready", "connecting", "live", "lost" (connecting again by itself), "busy", "failed".
   Events: "life" (detail {life, message, canRetry}), "link" (detail the connection that plays now),
   "stream" (detail MediaStream), "pictures" (they come on the canvas), "message" (detail what the server says). */

import { ApiError } from "./api.js";
import { Connection } from "./connection.js";
import { SocketConnection } from "./socket.js";

const AGAIN_AFTER_MS = [0, 1_000, 3_000, 6_000];
const BUSY_S = 15;
const ALIVE_EVERY_MS = 30_000;
const ENDS = {
  idle: "Nobody spoke for a while, so the conversation has ended.",
  too_long: "The conversation was as long as this server allows.",
  failed: "The conversation ended because of a problem on the server.",
};

export class Conversation extends EventTarget {
  constructor(api, canvas) {
    super();
    this.api = api;
    this.canvas = canvas; // drawn on where WebRTC does not come through
    this.iceServers = [];
    this.life = "ready";
    this.session = null; // {session_id, token}
    this.wish = null; // what the session was asked to be
    this.link = null;
    this.warm = null;
    this.attempt = 0; // an old attempt must not disturb a newer one
    this.busyTimer = 0;
    this.aliveAt = 0;
    this.count = 0;
  }

  get isLive() {
    return this.life === "live";
  }

  /** Make the WebRTC offer ahead of the first start. */
  async prepare(iceServers) {
    this.iceServers = iceServers;
    if (!Connection.isSupported || this.warm) return;
    this.warm = new Connection(iceServers);
    await this.warm.prepare();
  }

  /** Open a session as `wish` says ({avatar_id, seed?, quality?, agent?}) and connect to it. */
  async start(wish = this.wish) {
    this.wish = wish;
    await this.#end();
    const attempt = ++this.attempt;
    this.#live("connecting", "Waking up…");
    try {
      this.session = await this.api.request("POST", "sessions", { body: wish });
      await this.#connect(attempt);
    } catch (error) {
      this.#failed(attempt, error);
    }
  }

  /** End it, for good. */
  async leave(message = "") {
    this.attempt += 1;
    await this.#end();
    this.#live("ready", message);
    await this.prepare(this.iceServers);
  }

  /** End it while the page goes away: nothing can be waited for. */
  abandon() {
    if (this.session) this.#ask("DELETE", "", { keepalive: true }).catch(() => {});
  }

  /** Send a control message; resolves to false if nothing is connected. */
  send(message) {
    this.count += 1;
    return this.link?.send({ event_id: `page-${this.count}`, ...message }) ?? false;
  }

  /** Let it say `text`; resolves to the name under which the server tells of it. */
  async say(text) {
    return (await this.#ask("POST", "/say", { body: { text } })).event_id;
  }

  /** Let it speak the sound in `file`; resolves as say() does. */
  async playSound(file) {
    const form = new FormData();
    form.append("sound", file, file.name);
    return (await this.#ask("POST", "/audio", { body: form })).event_id;
  }

  /** Stop what is being said, by the fastest way there is. */
  async interrupt() {
    if (!this.session) return;
    if (!this.send({ type: "agent.interrupt" })) await this.#ask("POST", "/interrupt");
  }

  /** Somebody is at the page: sound may be given, and the session shall not end for idleness. */
  touch() {
    this.link?.unlock?.();
    if (!this.isLive || performance.now() - this.aliveAt < ALIVE_EVERY_MS) return;
    this.aliveAt = performance.now();
    this.send({ type: "session.keep_alive" });
  }

  #ask(method, what, options = {}) {
    const { session_id: id, token } = this.session ?? {};
    if (!id) return Promise.reject(new ApiError("gone", "Start the conversation first."));
    return this.api.request(method, `sessions/${id}${what}`, { token, ...options });
  }

  async #connect(attempt) {
    const link = await this.#linked(attempt);
    if (attempt !== this.attempt) return link.close();
    link.addEventListener("weak", () => this.isLive && this.#tell("message", { type: "page.weak" }));
    link.addEventListener("lost", () => this.#lost(link));
    this.#live("live");
    return undefined;
  }

  /** Return a link that stands: WebRTC, or a WebSocket where no packet comes through. */
  async #linked(attempt) {
    if (Connection.isSupported) {
      try {
        return await this.#webrtc();
      } catch (error) {
        if (error instanceof ApiError || attempt !== this.attempt) throw error;
        console.warn("No way for WebRTC; a WebSocket is used.", error.message);
      }
    }
    const address = this.api.address(`sessions/${this.session.session_id}/ws`);
    const link = new SocketConnection(address, this.session.token, this.canvas, this.session);
    this.#listen(link);
    await link.open();
    return link;
  }

  async #webrtc() {
    const { session_id: id, token } = this.session;
    let link = this.warm;
    this.warm = null;
    if (!link || link.isStale) {
      link?.close();
      link = new Connection(this.iceServers);
      await link.prepare();
    }
    this.#listen(link);
    const offer = (description) =>
      this.api.request("POST", "offer", { token, body: { ...description, session_id: id } });
    const trickle = (body) => this.api.request("PATCH", "offer", { token, body });
    try {
      await link.open(offer, trickle);
    } catch (error) {
      link.close();
      throw error;
    }
    return link;
  }

  #listen(link) {
    this.link = link;
    link.addEventListener("stream", (event) => this.#tell("stream", event.detail));
    link.addEventListener("pictures", () => this.#tell("pictures"));
    link.addEventListener("message", (event) => this.#heard(event.detail));
    link.addEventListener("open", () => this.#tell("link", link));
  }

  #heard(message) {
    this.#tell("message", message);
    if (message.type === "session.state_updated" && message.state === "closed") {
      this.session = null;
      this.leave(ENDS[message.reason] ?? "The conversation has ended.");
    }
  }

  async #lost(link) {
    if (link !== this.link || !this.session) return;
    const attempt = ++this.attempt;
    this.#live("lost", "The connection was lost. Connecting again…");
    link.close();
    let last;
    for (const pause of AGAIN_AFTER_MS) {
      await new Promise((resolve) => setTimeout(resolve, pause));
      if (attempt !== this.attempt) return;
      try {
        return await this.#connect(attempt);
      } catch (error) {
        last = error;
        if (error.kind === "gone" || error.kind === "key") break;
      }
    }
    if (last.kind === "gone" || last.kind === "key") return this.start();
    return this.#failed(attempt, new ApiError("failed", "The connection was lost and did not come back."));
  }

  #failed(attempt, error) {
    if (attempt !== this.attempt) return;
    const isBusy = error.kind === "busy";
    const known = error instanceof ApiError;
    if (!known) console.error(error);
    const text = known ? error.message : "No connection to the server could be made.";
    this.#end().catch(() => {});
    this.#live(isBusy ? "busy" : "failed", isBusy ? `${text} This page tries again by itself.` : text, error);
    if (isBusy) this.busyTimer = setTimeout(() => this.start(), 1000 * (error.retryS || BUSY_S));
  }

  async #end() {
    clearTimeout(this.busyTimer);
    const { link, session } = this;
    this.link?.close();
    if (session) await this.#ask("DELETE", "").catch((error) => console.warn(error.message));
    if (this.link === link) this.link = null;
    if (this.session === session) this.session = null;
  }

  #live(life, message = "", error = null) {
    this.life = life;
    this.#tell("life", { life, message, error, canRetry: life === "busy" || life === "failed" });
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
