/* The same conversation through one WebSocket, for networks that let no WebRTC through: pictures as
   JPEG on a canvas, sound as PCM16 through Web Audio, the microphone as PCM16 back.

   Sound is the master: frame n is drawn when the sound of frame n is heard. A browser that gives no
   sound before the next touch shows pictures by the system's clock until then. It has the events and
   methods of Connection, and "pictures" when the first picture is on the canvas. */

const AHEAD_S = 0.12; // as much is kept ready against jitter
const MIC_RATE = 16_000;
const OPEN_MS = 10_000;
const PICTURE = 1;
const SOUND = 2;

export class SocketConnection extends EventTarget {
  constructor(address, token, canvas, format) {
    super();
    this.address = new URL(address);
    this.address.protocol = this.address.protocol.replace("http", "ws");
    this.address.search = new URLSearchParams({ token, media: "1" });
    this.format = format; // {fps, sound_rate}
    this.canvas = canvas;
    this.paper = canvas.getContext("2d");
    this.audio = new (globalThis.AudioContext ?? globalThis.webkitAudioContext)();
    this.gain = this.audio.createGain();
    this.gain.connect(this.audio.destination);
    this.audio.onstatechange = () => { this.origin = null; };
    this.origin = null; // when frame 0 is heard, in seconds of #now()
    this.pictures = []; // {index, bitmap} not shown yet
    this.shown = 0;
    this.isClosed = false;
    this.recorder = null;
  }

  /** Connect; resolves when messages can travel. */
  async open() {
    this.socket = new WebSocket(this.address);
    this.socket.binaryType = "arraybuffer";
    this.socket.onmessage = (event) => this.#take(event.data);
    await new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("no answer")), OPEN_MS);
      this.socket.onopen = () => { clearTimeout(timer); resolve(); };
      this.socket.onclose = () => { clearTimeout(timer); reject(new Error("refused")); };
    });
    this.socket.onclose = () => this.#tell("lost");
    this.unlock();
    this.#tell("open");
    requestAnimationFrame(() => this.#draw());
  }

  /** Ask for sound; browsers give it after a touch. */
  unlock() {
    if (this.audio.state !== "running") this.audio.resume().catch(() => {}); // closed meanwhile
  }

  send(message) {
    if (this.socket.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(message));
    return true;
  }

  /** Send what `track` hears as binary messages; null stops it. */
  async useMicrophone(track) {
    this.recorder?.disconnect();
    this.recorder = null;
    if (!track) return;
    await this.audio.audioWorklet.addModule(new URL("./recorder.js", import.meta.url));
    const options = { processorOptions: { rate: MIC_RATE } };
    this.recorder = new AudioWorkletNode(this.audio, "recorder", options);
    this.recorder.port.onmessage = ({ data }) => {
      if (track.enabled && this.socket.readyState === WebSocket.OPEN) this.socket.send(data);
    };
    this.audio.createMediaStreamSource(new MediaStream([track])).connect(this.recorder);
  }

  mute(isMuted) {
    this.gain.gain.value = isMuted ? 0 : 1;
  }

  /** As getStats() has it, as far as it can be known here. */
  async report() {
    return new Map([["video", { type: "inbound-rtp", kind: "video", framesDecoded: this.shown }]]);
  }

  close() {
    this.isClosed = true;
    this.recorder?.disconnect();
    this.socket?.close();
    this.audio.close();
    for (const { bitmap } of this.pictures.splice(0)) bitmap.close();
  }

  #now() {
    return this.audio.state === "running" ? this.audio.currentTime : performance.now() / 1000;
  }

  #tell(name, detail) {
    if (!this.isClosed) this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  #take(data) {
    if (typeof data === "string") return this.#tell("message", JSON.parse(data));
    const header = new DataView(data);
    const index = header.getUint32(4, true);
    const body = data.slice(8);
    if (header.getUint8(0) === SOUND) this.#play(index, new Int16Array(body));
    if (header.getUint8(0) === PICTURE) this.#keep(index, body);
    return undefined;
  }

  /** Queue the sound of frame `index`; starts over when it comes too late to be heard in time. */
  #play(index, samples) {
    const now = this.#now();
    const { fps, sound_rate: rate } = this.format;
    if (this.origin === null || this.origin + index / fps < now) this.origin = now + AHEAD_S - index / fps;
    if (this.audio.state !== "running") return;
    const buffer = this.audio.createBuffer(1, samples.length, rate);
    buffer.getChannelData(0).set(Float32Array.from(samples, (x) => x / 32768));
    const source = this.audio.createBufferSource();
    source.buffer = buffer;
    source.connect(this.gain);
    source.start(this.origin + index / fps);
  }

  async #keep(index, jpeg) {
    const bitmap = await createImageBitmap(new Blob([jpeg], { type: "image/jpeg" }));
    this.pictures.push({ index, bitmap });
  }

  /** Draw the newest picture whose sound is being heard, drop those before it. */
  #draw() {
    if (this.isClosed) return;
    const heard = this.origin === null ? -1 : (this.#now() - this.origin) * this.format.fps;
    const due = this.pictures.filter((picture) => picture.index <= heard);
    this.pictures = this.pictures.filter((picture) => picture.index > heard);
    const last = due.pop();
    for (const { bitmap } of due) bitmap.close();
    if (last) this.#show(last.bitmap);
    requestAnimationFrame(() => this.#draw());
  }

  #show(bitmap) {
    if (this.canvas.width !== bitmap.width || this.canvas.height !== bitmap.height) {
      this.canvas.width = bitmap.width;
      this.canvas.height = bitmap.height;
    }
    this.paper.drawImage(bitmap, 0, 0);
    bitmap.close();
    this.shown += 1;
    if (this.shown === 1) this.#tell("pictures");
  }
}
