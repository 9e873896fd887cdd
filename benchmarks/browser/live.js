/* What benchmarks/live.py measures inside the page, all on one clock: performance.now().

   watch() notes every frame that is shown (when, the pixels of the mouth, its number, how old it is)
   and every 5 ms how loud the sound is; taken() hands over what was noted since the last time. */
(async () => {
  const { conversation } = await import(new URL("main.js", document.baseURI));
  const video = document.getElementById("video");
  const [W, H] = [48, 32];
  const paper = new OffscreenCanvas(W, H).getContext("2d", { willReadFrequently: true });
  const MARK = 16;
  const strip = new OffscreenCanvas(16 * MARK, 2 * MARK).getContext("2d", { willReadFrequently: true });
  let frames = [], sounds = [], messages = [], offsets = [];
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));

  conversation.addEventListener("message", ({ detail }) => messages.push({ ...detail, at: performance.now() }));

  /** [number of the frame, ms since the server handed it out], from the marks that live.py has drawn:
      two rows of 16 squares, dark or light, lowest bit first; the second is the time of day in ms. */
  function marked(shownAt) {
    strip.drawImage(video, 0, 0, 16 * MARK, 2 * MARK, 0, 0, 16 * MARK, 2 * MARK);
    const [index, sent] = [0.5, 1.5].map((row) => {
      const pixels = strip.getImageData(0, row * MARK, 16 * MARK, 1).data;
      let value = 0;
      for (let bit = 0; bit < 16; bit++) value += (pixels[4 * (bit + 0.5) * MARK] > 127) << bit;
      return value;
    });
    const now = Math.round(performance.timeOrigin + shownAt);
    return [index, (((now - sent) % 65536) + 65536) % 65536];
  }

  function watch([left, top, width, height]) {
    const look = (now, frame) => {
      const [w, h] = [video.videoWidth, video.videoHeight];
      paper.drawImage(video, left * w, top * h, width * w, height * h, 0, 0, W, H);
      const pixels = paper.getImageData(0, 0, W, H).data;
      let grey = "";
      for (let i = 0; i < pixels.length; i += 4) {
        grey += String.fromCharCode((pixels[i] + 2 * pixels[i + 1] + pixels[i + 2]) >> 2);
      }
      frames.push([frame.expectedDisplayTime, grey, ...marked(frame.expectedDisplayTime), frame.presentedFrames]);
      video.requestVideoFrameCallback(look);
    };
    video.requestVideoFrameCallback(look);
    const context = new AudioContext();
    const analyser = context.createAnalyser();
    analyser.fftSize = 256;
    context.createMediaStreamSource(conversation.link.stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      const power = samples.reduce((sum, x) => sum + x * x, 0) / samples.length;
      sounds.push([performance.now(), video.muted ? 0 : Math.sqrt(power) * video.volume]);
    }, 5);
    setInterval(async () => {
      const playout = {};
      if (!conversation.isLive) return;
      for (const entry of (await conversation.link.report()).values()) {
        if (entry.type === "inbound-rtp") playout[entry.kind] = entry.estimatedPlayoutTimestamp;
      }
      if (playout.audio && playout.video) offsets.push([performance.now(), playout.video - playout.audio]);
    }, 200);
  }

  function taken() {
    const out = { frames, sounds, messages, offsets };
    [frames, sounds, messages, offsets] = [[], [], [], []];
    return out;
  }

  /** Speak PCM16 `pieces` (base64, 24 kHz): all at once, or each when it would have been said.
      Resolves to the time at which the first sample was there. */
  async function speak(pieces, pieceMs, isPaced) {
    const start = performance.now();
    for (const [n, audio] of pieces.entries()) {
      if (isPaced) await wait(start + (n + 1) * pieceMs - performance.now());
      conversation.send({ type: "agent.speak", audio });
    }
    conversation.send({ type: "agent.speak_end" });
    return start;
  }

  async function heard(type, ms) {
    const end = performance.now() + ms;
    while (!messages.some((m) => m.type === type)) {
      if (performance.now() > end) throw new Error(`no ${type} after ${ms} ms`);
      await wait(5);
    }
  }

  function interrupt() {
    const start = performance.now();
    conversation.send({ type: "agent.interrupt" });
    return start;
  }

  async function report() {
    return [...(await conversation.link.report()).values()].filter((e) => e.type === "inbound-rtp");
  }

  globalThis.bench = { conversation, watch, taken, speak, heard, interrupt, report, wait };
})()
