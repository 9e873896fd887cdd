/* Subtitles: what is said, two lines at a time, at the pace of speech.

   Words may come before, while and after their sound begins (a language model writes as it goes). */

const LETTERS_A_SECOND = 15;
const LONGEST = 84; // letters at a time: two lines on a phone
const KEPT = 32; // utterances: one that was interrupted may go on
const STAYS_MS = 2_000;
const EVERY_MS = 250;

export class Captions {
  constructor(place) {
    this.place = place;
    this.words = new Map(); // name of the utterance -> its words
    this.speaking = null;
    this.since = 0;
    this.timer = 0;
  }

  /** Utterance `id` says `text`, after what it says already. */
  add(id, text) {
    this.words.set(id, (this.words.get(id) ?? "") + text);
    if (this.words.size > KEPT) this.words.delete(this.words.keys().next().value);
    if (id === this.speaking) this.#show();
  }

  /** Utterance `id` begins to be heard. */
  begin(id) {
    clearInterval(this.timer);
    this.speaking = id;
    this.since = performance.now();
    this.timer = setInterval(() => this.#show(), EVERY_MS);
    this.#show();
  }

  /** It is over; the last words stay readable for a moment. */
  end() {
    clearInterval(this.timer);
    this.speaking = null;
    this.timer = setTimeout(() => this.clear(), STAYS_MS);
  }

  /** Show what the person here said. */
  hear(text) {
    if (this.speaking) return;
    this.#put(text, true);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.clear(), 2 * STAYS_MS);
  }

  clear() {
    clearInterval(this.timer);
    this.#put("", false);
  }

  #show() {
    const heard = ((performance.now() - this.since) / 1000) * LETTERS_A_SECOND;
    const parts = cut(this.words.get(this.speaking) ?? "");
    let end = 0;
    const now = parts.find((part) => (end += part.length) > heard) ?? parts.at(-1) ?? "";
    this.#put(now.trim(), false);
  }

  #put(text, isUser) {
    if (this.place.textContent !== text) this.place.textContent = text;
    this.place.classList.toggle("user", isUser);
  }
}

/** Return `text` in parts that fit, cut at the ends of sentences, or else between words. */
function cut(text) {
  const parts = [];
  for (const piece of text.match(/[^\s]+\s*/g) ?? []) {
    const last = parts.at(-1);
    const isFull = last === undefined || last.length + piece.length > LONGEST || /[.!?…]\s*$/.test(last) && last.length > LONGEST / 2;
    if (isFull) parts.push(piece);
    else parts[parts.length - 1] = last + piece;
  }
  return parts;
}
