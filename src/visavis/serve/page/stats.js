/* The measurements in the top line, once a second: first frame (the server's), frames shown per
   second, how far sound lags behind the picture, round trip, quality level.

   The offset, a median over some seconds as each sample leans on a clock that is still being learnt,
   is the picture's estimatedPlayoutTimestamp less the sound's: negative while the sound
   is ahead. Browsers without that number (Firefox) leave the place empty. */

const EVERY_MS = 1_000;
const SAMPLES = 5;
const LEVELS = ["full", "reduced", "half the frames", "few frames"];

export class Stats {
  constructor(list, video) {
    this.places = new Map(
      [...list.querySelectorAll("[data-stat]")].map((row) => [row.dataset.stat, row]),
    );
    this.video = video;
    this.timer = 0;
    this.last = null;
    this.offsets = [];
    for (const name of this.places.keys()) this.show(name, "");
  }

  /** Watch `connection` until stop(). */
  start(connection) {
    this.stop();
    this.timer = setInterval(async () => this.#measure(await connection.report()), EVERY_MS);
  }

  stop() {
    clearInterval(this.timer);
    this.last = null;
    this.offsets = [];
    for (const name of this.places.keys()) this.show(name, "");
  }

  /** Put `text` in the place `name`; an empty place is not shown. */
  show(name, text) {
    const row = this.places.get(name);
    row.hidden = !text;
    row.querySelector("dd").textContent = text;
  }

  /** Take what the server measured: a `metrics.frame` message. */
  hear(message) {
    const first = message.first_frame_ms_p50 ?? message.shown_ms_p50; // late ones are only shown
    if (Number.isFinite(first)) this.show("first", `${Math.round(first)} ms`);
    if (message.level !== undefined) this.hearLevel(message.level);
  }

  /** How much the server leaves out to keep time; level 0 is nothing (stream/overload.py). */
  hearLevel(level) {
    this.show("quality", LEVELS[Number(level)] ?? `level ${level}`);
  }

  #measure(report) {
    const now = readReport(report);
    if (!this.timer) return;
    if (this.last && now.at > this.last.at) {
      const fps = ((now.frames - this.last.frames) * 1000) / (now.at - this.last.at);
      this.show("fps", fps >= 0 ? String(Math.round(fps)) : "");
    }
    if (Number.isFinite(now.offset)) this.offsets = [...this.offsets, now.offset].slice(-SAMPLES);
    this.show("offset", this.offsets.length === SAMPLES ? signed(median(this.offsets)) : "");
    this.show("trip", Number.isFinite(now.trip) ? `${Math.round(now.trip)} ms` : "");
    this.last = now;
  }
}

/** The numbers of one getStats() report; NaN where a browser does not tell. */
export function readReport(report) {
  const found = { at: performance.now(), frames: 0, offset: NaN, trip: NaN };
  const playout = {};
  for (const entry of report.values()) {
    if (entry.type === "inbound-rtp") {
      playout[entry.kind] = entry.estimatedPlayoutTimestamp;
      if (entry.kind === "video") found.frames = entry.framesDecoded ?? 0;
    }
    if (entry.type === "candidate-pair" && entry.nominated && entry.state === "succeeded") {
      found.trip = (entry.currentRoundTripTime ?? NaN) * 1000;
    }
  }
  if (playout.audio && playout.video) found.offset = playout.video - playout.audio;
  return found;
}

function median(values) {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}

function signed(milliseconds) {
  const rounded = Math.round(milliseconds);
  return `${rounded > 0 ? "+" : rounded < 0 ? "−" : ""}${Math.abs(rounded)} ms`;
}
