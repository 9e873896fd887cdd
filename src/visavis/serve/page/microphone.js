/* The person's microphone: held down to talk, or hands-free.

   The first use asks for permission. Between two uses the device stays open but silent, so that
   nothing of the first word is lost, and is let go after KEEP_MS. Events: "track" (detail
   MediaStreamTrack or null), "talking" (detail boolean), "level" (detail 0..1). */

const KEEP_MS = 60_000;
const WISHES = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 };

export class MicrophoneError extends Error {}

export class Microphone extends EventTarget {
  constructor() {
    super();
    this.track = null;
    this.context = null;
    this.isHeld = false;
    this.isHandsFree = false;
    this.isTalking = false;
    this.keepTimer = 0;
  }

  static get isSupported() {
    return Boolean(globalThis.navigator?.mediaDevices?.getUserMedia);
  }

  /** The button went down (true) or up (false). */
  async hold(isHeld) {
    this.isHeld = isHeld;
    await this.#follow();
  }

  /** Listen all the time, or only while held. */
  async handsFree(isOn) {
    this.isHandsFree = isOn;
    await this.#follow();
  }

  /** Let go of the device: its light goes out. */
  close() {
    clearTimeout(this.keepTimer);
    this.isHeld = this.isHandsFree = false;
    this.#talk(false);
    this.track?.stop();
    this.track = null;
    this.context?.close();
    this.context = null;
    this.#tell("track", null);
  }

  get wanted() {
    return this.isHeld || this.isHandsFree;
  }

  async #follow() {
    clearTimeout(this.keepTimer);
    if (this.wanted && !this.track) await this.#acquire();
    if (this.track) this.track.enabled = this.wanted;
    this.#talk(Boolean(this.wanted && this.track));
    if (!this.wanted && this.track) this.keepTimer = setTimeout(() => this.close(), KEEP_MS);
  }

  async #acquire() {
    if (!Microphone.isSupported) {
      throw new MicrophoneError("The microphone needs a secure address: open this page with https.");
    }
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: WISHES });
    } catch (error) {
      this.isHeld = this.isHandsFree = false;
      throw new MicrophoneError(reason(error));
    }
    if (this.track) return; // a second press was faster
    [this.track] = stream.getAudioTracks();
    this.track.onended = () => this.close();
    this.#tell("track", this.track);
    this.#measure(stream);
  }

  #talk(isTalking) {
    if (isTalking === this.isTalking) return;
    this.isTalking = isTalking;
    this.#tell("talking", isTalking);
  }

  #measure(stream) {
    this.context = new (globalThis.AudioContext ?? globalThis.webkitAudioContext)();
    const analyser = this.context.createAnalyser();
    analyser.fftSize = 512;
    this.context.createMediaStreamSource(stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    const look = () => {
      if (!this.context) return;
      analyser.getFloatTimeDomainData(samples);
      const power = samples.reduce((sum, x) => sum + x * x, 0) / samples.length;
      const decibels = 10 * Math.log10(power + 1e-9);
      this.#tell("level", this.isTalking ? Math.min(1, Math.max(0, (decibels + 55) / 45)) : 0);
      requestAnimationFrame(look);
    };
    look();
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

function reason(error) {
  if (error.name === "NotAllowedError") {
    return "The microphone is not allowed. Allow it for this page in the browser's settings.";
  }
  if (error.name === "NotFoundError") return "No microphone was found. Plug one in and try again.";
  return "The microphone cannot be opened; another program may be using it.";
}
