/* Expression and state: native inputs -> control messages.

   Each change sends only what changed; all() gives everything that differs from the defaults, for a
   new session. A gaze that follows the pointer is sent at most ten times a second. Events:
   "message" (detail a control message without event_id). */

const GAZE_EVERY_MS = 100;
const FARTHEST_YAW = 30;
const FARTHEST_PITCH = 18;

export class Controls extends EventTarget {
  constructor(form, frame) {
    super();
    this.form = form;
    this.frame = frame;
    this.gazeAt = 0;
    form.addEventListener("input", (event) => this.#changed(event.target.name));
    form.addEventListener("reset", () => setTimeout(() => this.#reset()));
    form.addEventListener("submit", (event) => event.preventDefault());
    globalThis.addEventListener("pointermove", (event) => this.#follow(event), { passive: true });
    this.#paint();
  }

  value(name) {
    return this.form.elements[name].value;
  }

  /** Show `state` as chosen without sending it. */
  showState(state) {
    this.form.elements.state.value = state;
  }

  /** The messages that bring a new session to what is set here. */
  all() {
    const messages = [];
    if (this.value("state") !== "auto") messages.push(this.#state());
    const set = {};
    if (this.value("emotion") !== "neutral") Object.assign(set, this.#emotion());
    if (this.value("energy") !== "1") set.energy = Number(this.value("energy"));
    if (!["free", "follow"].includes(this.value("gaze"))) set.gaze = this.value("gaze");
    if (Object.keys(set).length) messages.push({ type: "agent.set_control", ...set });
    return messages;
  }

  /** Offer the `names` in the list `which` ("agent", "quality"); shown if there is a choice. */
  offer(which, names, chosen) {
    const list = this.form.elements[which];
    list.replaceChildren(...names.map((name) => new Option(wording(name), name, name === chosen, name === chosen)));
    list.closest(".choice").hidden = names.length < 2;
  }

  #changed(name) {
    this.#paint();
    if (name === "state") this.#tell(this.#state());
    if (name === "emotion" || name === "intensity") this.#set(this.#emotion());
    if (name === "energy") this.#set({ energy: Number(this.value("energy")) });
    if (name === "gaze" && this.value("gaze") !== "follow") this.#set({ gaze: this.value("gaze") });
  }

  #reset() {
    this.#paint();
    this.#tell(this.#state());
    this.#set({ emotion: "neutral", intensity: 0, energy: 1, gaze: "free" });
  }

  #state() {
    return { type: "agent.set_state", state: this.value("state") };
  }

  #emotion() {
    const emotion = this.value("emotion");
    return { emotion, intensity: emotion === "neutral" ? 0 : Number(this.value("intensity")) };
  }

  #set(fields) {
    this.#tell({ type: "agent.set_control", ...fields });
  }

  #tell(detail) {
    this.dispatchEvent(new CustomEvent("message", { detail }));
  }

  #paint() {
    const { intensity, energy } = this.form.elements;
    intensity.disabled = this.value("emotion") === "neutral";
    for (const slider of [intensity, energy]) {
      const share = (slider.value - slider.min) / (slider.max - slider.min);
      slider.style.setProperty("--fill", `${100 * share}%`);
      slider.closest(".slider").querySelector("output").textContent = `${Math.round(100 * slider.value)} %`;
    }
  }

  #follow(event) {
    if (this.value("gaze") !== "follow" || event.timeStamp - this.gazeAt < GAZE_EVERY_MS) return;
    this.gazeAt = event.timeStamp;
    const box = this.frame.getBoundingClientRect();
    const across = (event.clientX - box.left - box.width / 2) / (box.width / 2);
    const down = (event.clientY - box.top - box.height * 0.4) / (box.height / 2);
    const yaw = Math.round(FARTHEST_YAW * Math.tanh(across));
    const pitch = Math.round(-FARTHEST_PITCH * Math.tanh(down));
    this.#set({ gaze: [yaw, pitch] });
  }
}

const WORDS = {
  none: "I decide what it says", echo: "It repeats me", scripted: "A scripted partner answers",
  openai: "A language model answers", realtime: "A realtime model answers",
};

function wording(name) {
  return WORDS[name] ?? name.charAt(0).toUpperCase() + name.slice(1).replaceAll("_", " ");
}
