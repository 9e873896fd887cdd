/* What the person here gives: text, sound files, things dropped on or pasted into the page, and the
   microphone button. Events: "say" (detail text), "sound" (detail File), "portrait" (detail File),
   "hold" (detail boolean), "handsfree" (detail boolean), "interrupt", "resume". */

const TAP_MS = 280; // shorter is a tap: it switches hands-free; longer is holding the button to talk
const RESUME_MS = 10_000;

export class Composer extends EventTarget {
  constructor(root) {
    super();
    this.root = root;
    for (const id of ["composer", "text", "sound", "mic", "handsfree", "interrupt", "resume", "drop"]) this[id] = root.getElementById(id);
    this.resumeTimer = 0;
    this.downAt = 0;
    this.isDown = false;
    this.depth = 0;
    this.composer.addEventListener("submit", (event) => this.#submit(event));
    this.sound.addEventListener("change", () => this.#files(this.sound.files));
    this.interrupt.addEventListener("click", () => this.#tell("interrupt"));
    this.resume.addEventListener("click", () => this.#tell("resume"));
    this.handsfree.addEventListener("change", () => this.#tell("handsfree", this.handsfree.checked));
    this.#wireMicrophone();
    this.#wireDrop();
  }

  /** Show whether the microphone is heard now. */
  showTalking(isTalking) {
    this.mic.setAttribute("aria-pressed", String(isTalking));
  }

  showLevel(level) {
    this.mic.style.setProperty("--level", level.toFixed(2));
  }

  showHandsFree(isOn) {
    this.handsfree.checked = isOn;
  }

  /** For a while it can be asked to go on with what it did not say. */
  offerResume(isOffered) {
    clearTimeout(this.resumeTimer);
    this.root.body.dataset.dropped = isOffered ? "yes" : "no";
    if (isOffered) this.resumeTimer = setTimeout(() => this.offerResume(false), RESUME_MS);
  }

  /** Take no text: the server has no voice. */
  withoutVoice() {
    this.text.disabled = true;
    this.text.placeholder = "No voice here: use sound or microphone";
  }

  #submit(event) {
    event.preventDefault();
    const text = this.text.value.trim();
    if (!text) return this.text.focus();
    this.text.value = "";
    return this.#tell("say", text);
  }

  #files(files) {
    const [file] = files;
    if (file) this.#tell(/^image\//.test(file.type) ? "portrait" : "sound", file);
    this.sound.value = "";
  }

  #wireMicrophone() {
    this.mic.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      this.mic.setPointerCapture(event.pointerId);
      this.press(event.timeStamp);
    });
    for (const name of ["pointerup", "pointercancel"]) {
      this.mic.addEventListener(name, (event) => this.release(event.timeStamp));
    }
    this.mic.addEventListener("contextmenu", (event) => event.preventDefault());
    this.mic.addEventListener("click", (event) => event.detail === 0 && !this.isDown && this.#toggle());
    this.root.addEventListener("keydown", (event) => this.#key(event, true));
    this.root.addEventListener("keyup", (event) => this.#key(event, false));
    globalThis.addEventListener("blur", () => this.isDown && this.release(Infinity));
  }

  /** The microphone button goes down at `at` milliseconds. */
  press(at) {
    if (this.isDown) return;
    this.isDown = true;
    this.downAt = at;
    this.#tell("hold", true);
  }

  release(at) {
    if (!this.isDown) return;
    this.isDown = false;
    this.#tell("hold", false);
    if (at - this.downAt < TAP_MS) this.#toggle();
  }

  #toggle() {
    this.handsfree.checked = !this.handsfree.checked;
    this.#tell("handsfree", this.handsfree.checked);
  }

  /** Space talks while it is held, Escape interrupts; not while somebody types or picks. */
  #key(event, isDown) {
    if (event.key === "Escape" && isDown && !this.root.querySelector("dialog[open]")) this.#tell("interrupt");
    if (event.key !== " " || event.ctrlKey || event.metaKey || event.altKey) return;
    const taken = event.target.closest?.("input, select, textarea, a, summary, dialog, button:not(#mic)");
    if (taken && isDown) return;
    if (!taken) event.preventDefault();
    if (isDown && !event.repeat) this.press(event.timeStamp);
    if (!isDown) this.release(Infinity);
  }

  #wireDrop() {
    const show = (isShown) => this.drop.classList.toggle("shown", isShown);
    this.root.addEventListener("dragenter", (event) => {
      if (event.dataTransfer.types.includes("Files")) show(Boolean((this.depth += 1)));
    });
    this.root.addEventListener("dragleave", () => {
      this.depth = Math.max(0, this.depth - 1);
      if (!this.depth) show(false);
    });
    this.root.addEventListener("dragover", (event) => event.preventDefault());
    this.root.addEventListener("drop", (event) => {
      event.preventDefault();
      show(Boolean((this.depth = 0)));
      this.#files(event.dataTransfer.files);
    });
    this.root.addEventListener("paste", (event) => {
      const [file] = event.clipboardData?.files ?? [];
      if (file) this.#files([file]);
    });
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
