/* Runs on the audio thread: what the microphone hears, as PCM16 at processorOptions.rate, in pieces
   of 40 ms. Each sample is the mean of those that fall together. */

class Recorder extends AudioWorkletProcessor {
  constructor(options) {
    super();
    this.step = sampleRate / options.processorOptions.rate;
    this.piece = new Int16Array(Math.round(options.processorOptions.rate / 25));
    this.filled = 0;
    this.sum = 0;
    this.count = 0;
    this.place = 0;
  }

  process(inputs) {
    for (const sample of inputs[0][0] ?? []) {
      this.sum += sample;
      this.count += 1;
      this.place += 1;
      if (this.place >= this.step) this.#put();
    }
    return true;
  }

  #put() {
    const mean = Math.max(-1, Math.min(1, this.sum / this.count));
    this.piece[this.filled] = Math.round(mean * 32767);
    this.filled += 1;
    this.place -= this.step;
    this.sum = 0;
    this.count = 0;
    if (this.filled < this.piece.length) return;
    this.port.postMessage(this.piece.slice().buffer);
    this.filled = 0;
  }
}

registerProcessor("recorder", Recorder);
