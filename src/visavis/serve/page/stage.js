/* What is seen of the person: poster, picture, state, and the sentence that says what is
   wrong. The poster gives way to the picture when the first frame is really there. */

const HUSH_MS = 300;
const WORDS = { off: "Ready", speaking: "Speaking", listening: "Listening", idle: "Idle", connecting: "Connecting" };

export class Stage {
  constructor(root) {
    this.root = root;
    for (const id of ["frame", "poster", "ambience", "video", "canvas", "phase", "phase-word", "notice", "notice-text",
      "retry", "unmute", "badge"]) {
      this[id.replace("-", "_")] = root.getElementById(id);
    }
    this.hushTimer = 0;
    this.video.addEventListener("resize", () => this.#fit(this.video.videoWidth, this.video.videoHeight));
    this.poster.addEventListener("load", () => this.#light());
    this.unmute.addEventListener("click", () => this.#sound(this.video.muted));
  }

  /** Show the portrait at `address`, of `name`, until the living picture comes. */
  showPortrait(address, name) {
    this.poster.src = this.video.poster = address;
    this.poster.alt = `Portrait: ${name}`;
  }

  /** Somebody pressed a button: ask to play with sound now, while the browser listens (Safari). */
  unlock() {
    this.video.play().catch(() => {}); // nothing to play yet
  }

  /** Play `stream`; the browser may want one more touch before it gives sound. */
  async play(stream) {
    if (this.video.srcObject !== stream) {
      this.video.srcObject = stream;
      onFirstFrame(this.video, () => this.video.classList.add("shown"));
    }
    try {
      await this.video.play();
    } catch (error) {
      if (error.name !== "NotAllowedError") return; // AbortError: a newer stream took its place
      this.#sound(false);
      await this.video.play();
      this.root.dispatchEvent(new CustomEvent("visavis:locked"));
    }
  }

  /** Show pictures drawn on the canvas (where WebRTC does not come through). */
  showCanvas() {
    this.#fit(this.canvas.width, this.canvas.height);
    this.canvas.classList.add("shown");
  }

  /** Back to the portrait. */
  clear() {
    this.video.classList.remove("shown");
    this.canvas.classList.remove("shown");
    this.video.srcObject = null;
    this.showPhase("off");
  }

  showLife({ life, message, canRetry }) {
    this.root.body.dataset.life = life;
    const isSaid = Boolean(message) && life !== "live" && life !== "ready";
    this.notice.hidden = !isSaid;
    this.notice_text.textContent = isSaid ? message : "";
    this.retry.hidden = !canRetry;
    if (life === "connecting" || life === "lost") this.showPhase("connecting");
    if (life === "ready" || life === "busy" || life === "failed") this.clear();
  }

  showPhase(phase) {
    this.phase.dataset.phase = phase;
    this.phase_word.textContent = WORDS[phase] ?? phase;
    this.root.body.dataset.speaking = phase === "speaking" ? "yes" : "no";
  }

  /** Show the badge `text`; `isDrawn`: the pictures carry one of their own. */
  showBadge(text, isDrawn) {
    this.badge.lastChild.textContent = text;
    this.badge.hidden = !text;
    this.root.body.dataset.badge = isDrawn ? "drawn" : "page";
  }

  /** Be silent at once, for as long as sound that was sent before the interruption is under way. */
  hush() {
    clearTimeout(this.hushTimer);
    this.video.volume = 0;
    this.hushTimer = setTimeout(() => { this.video.volume = 1; }, HUSH_MS);
  }

  #sound(isOn) {
    this.video.muted = !isOn;
    this.unmute.setAttribute("aria-pressed", String(isOn));
    this.root.dispatchEvent(new CustomEvent("visavis:sound", { detail: isOn }));
  }

  /** The portrait is there: give the room its shape and colours. */
  #light() {
    this.#fit(this.poster.naturalWidth, this.poster.naturalHeight);
    const paper = this.ambience.getContext("2d");
    paper.filter = "saturate(1.8)"; // Safari leaves it out
    paper.drawImage(this.poster, 0, 0, this.ambience.width, this.ambience.height);
    this.ambience.classList.add("shown");
  }

  #fit(width, height) {
    if (width && height) this.frame.style.setProperty("--aspect", String(width / height));
  }
}

/** Call `done` once `video` has shown a frame. */
function onFirstFrame(video, done) {
  if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(done);
  else video.addEventListener("timeupdate", done, { once: true });
}
