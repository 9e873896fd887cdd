/* One WebRTC connection to a session: picture and sound come in, the microphone goes out, control
   messages travel on the data channel "control".

   prepare() makes the offer and gathers ICE candidates when the page loads, so that open() has
   nothing to wait for. The microphone's place is in the offer from the start: turning it on later
   needs no second negotiation. Events: "stream" (detail MediaStream), "message" (detail object),
   "open", "weak" (packets stop coming), "strong", "lost". */

const STALE_MS = 120_000; // after this long a NAT may have forgotten the gathered addresses
const ANSWER_MS = 12_000;
const WEAK_MS = 6_000;

export class Connection extends EventTarget {
  constructor(iceServers = []) {
    super();
    this.peer = new RTCPeerConnection({ iceServers, bundlePolicy: "max-bundle" });
    this.channel = this.peer.createDataChannel("control", { ordered: true });
    this.voice = this.peer.addTransceiver("audio", { direction: "sendrecv" });
    this.peer.addTransceiver("video", { direction: "recvonly" });
    this.stream = new MediaStream();
    this.waiting = [];
    this.madeAt = performance.now();
    this.weakTimer = 0;
    this.isClosed = false;
    this.peer.ontrack = (event) => this.#take(event);
    this.peer.onicecandidate = (event) => event.candidate && this.waiting.push(event.candidate);
    this.peer.onconnectionstatechange = () => this.#changed();
    this.channel.onmessage = (event) => this.#heard(event.data);
    this.channel.onopen = () => this.#tell("open");
  }

  static get isSupported() {
    return "RTCPeerConnection" in globalThis;
  }

  get isStale() {
    return performance.now() - this.madeAt > STALE_MS || this.peer.signalingState !== "have-local-offer";
  }

  /** Make the offer; gathering begins. */
  async prepare() {
    await this.peer.setLocalDescription(await this.peer.createOffer());
  }

  /** Exchange descriptions: `offer(description)` and `trickle(candidates)` ask the server.
      Resolves when the connection stands. */
  async open(offer, trickle) {
    const local = this.peer.localDescription;
    this.waiting.length = 0; // those gathered so far stand in the description
    const answer = await offer({ sdp: local.sdp, type: local.type });
    const pass = () => this.#passCandidates(answer.pc_id, trickle);
    this.peer.onicecandidate = (event) => {
      if (event.candidate) this.waiting.push(event.candidate);
      pass();
    };
    await this.peer.setRemoteDescription({ sdp: answer.sdp, type: answer.type });
    pass();
    await this.#connected();
  }

  /** Send a control message; false if the channel is not open. */
  send(message) {
    if (this.channel.readyState !== "open") return false;
    this.channel.send(JSON.stringify(message));
    return true;
  }

  /** Send `track` (or nothing, with null) as what the person here says. */
  async useMicrophone(track) {
    if (!this.isClosed) await this.voice.sender.replaceTrack(track);
  }

  /** Packets per second rather than smoothness: play each frame as soon as it is there. */
  hurry() {
    for (const receiver of this.peer.getReceivers()) {
      if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = 0;
      else if ("playoutDelayHint" in receiver) receiver.playoutDelayHint = 0;
    }
  }

  async report() {
    return this.peer.getStats();
  }

  close() {
    this.isClosed = true;
    clearTimeout(this.weakTimer);
    this.channel.close();
    this.peer.close();
  }

  #tell(name, detail) {
    if (!this.isClosed) this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  #take(event) {
    this.stream.addTrack(event.track);
    this.hurry();
    this.#tell("stream", this.stream);
  }

  #heard(data) {
    try {
      this.#tell("message", JSON.parse(data));
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      console.warn("A control message that is not JSON was left out.");
    }
  }

  #passCandidates(pcId, trickle) {
    const candidates = this.waiting.splice(0).map((candidate) => ({
      candidate: candidate.candidate,
      sdp_mid: candidate.sdpMid,
      sdp_mline_index: candidate.sdpMLineIndex,
    }));
    if (candidates.length) trickle({ pc_id: pcId, candidates }).catch(() => this.#tell("weak"));
  }

  #connected() {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("no route")), ANSWER_MS);
      const look = () => {
        const state = this.peer.connectionState;
        if (state === "connected") resolve();
        else if (state === "failed" || state === "closed") reject(new Error("no route"));
        else return;
        clearTimeout(timer);
        this.peer.removeEventListener("connectionstatechange", look);
      };
      this.peer.addEventListener("connectionstatechange", look);
      look();
    });
  }

  #changed() {
    const state = this.peer.connectionState;
    clearTimeout(this.weakTimer);
    if (state === "failed" || state === "closed") this.#tell("lost");
    if (state === "connected") this.#tell("strong");
    if (state === "disconnected") {
      this.#tell("weak");
      this.weakTimer = setTimeout(() => this.#tell("lost"), WEAK_MS);
    }
  }
}
