/* Wires the parts of the page; each part knows only its own element and its own events. */

import { Api } from "./api.js";
import { Avatars } from "./avatars.js";
import { Captions } from "./captions.js";
import { Composer } from "./composer.js";
import { Controls } from "./controls.js";
import { Conversation } from "./conversation.js";
import { Microphone } from "./microphone.js";
import { Stage } from "./stage.js";
import { Stats } from "./stats.js";

const at = (id) => document.getElementById(id);
const api = new Api();
const avatars = new Avatars(api, document);
const captions = new Captions(at("caption"));
const composer = new Composer(document);
const controls = new Controls(at("controls"), at("frame"));
export const conversation = new Conversation(api, at("canvas"));
const microphone = new Microphone();
const stage = new Stage(document);
const stats = new Stats(at("stats"), at("video"));
let toastTimer = 0;
let wakeLock = null;

function toast(text) {
  clearTimeout(toastTimer);
  at("toast").textContent = text;
  at("toast").classList.add("shown");
  toastTimer = setTimeout(() => at("toast").classList.remove("shown"), 5_000);
}

function announce(text) {
  at("announcer").textContent = text;
}

/* Starting */

function wish() {
  const asked = { avatar_id: avatars.chosen.id };
  for (const name of ["agent", "quality"]) if (controls.value(name)) asked[name] = controls.value(name);
  return asked;
}

async function start() {
  if (!avatars.chosen) return toast("Choose a portrait first.");
  stage.unlock();
  await conversation.start(wish());
  if (conversation.isLive) at("mic").focus({ preventScroll: true });
  return undefined;
}

/** Do `what` in a running conversation; start one if there is none. */
async function live(what) {
  try {
    if (!conversation.isLive) await start();
    if (conversation.isLive) await what();
  } catch (error) {
    toast(error.message);
  }
}

at("start").addEventListener("click", start);
at("retry").addEventListener("click", start);
at("leave").addEventListener("click", () => conversation.leave());
avatars.addEventListener("chosen", ({ detail }) => {
  const wasLive = conversation.isLive;
  stage.clear();
  stage.showPortrait(detail.picture, detail.name);
  if (wasLive) start();
});
avatars.addEventListener("problem", ({ detail }) => toast(detail));
for (const name of ["agent", "quality"]) at(name).addEventListener("change", () => conversation.isLive && start());

/* What comes from the server */

conversation.addEventListener("stream", ({ detail }) => stage.play(detail));
conversation.addEventListener("pictures", () => stage.showCanvas());
document.addEventListener("visavis:locked", () => toast("Tap the loudspeaker on the picture to hear it."));
document.addEventListener("visavis:sound", ({ detail }) => conversation.link?.mute?.(!detail));
conversation.addEventListener("link", ({ detail: link }) => {
  stats.start(link);
  link.useMicrophone(microphone.track);
  for (const message of controls.all()) conversation.send(message);
  if (microphone.isTalking) conversation.send({ type: "agent.start_listening" });
});
conversation.addEventListener("life", ({ detail }) => {
  stage.showLife(detail);
  announce(detail.life === "live" ? "Connected. You can talk now." : "");
  if (detail.life !== "live") stats.stop();
  if (detail.life !== "live") captions.clear();
  if (detail.life !== "live") composer.offerResume(false);
  stayAwake(detail.life === "live");
  if (detail.life === "ready" || detail.canRetry) microphone.close();
  if (detail.life === "ready" && detail.message) toast(detail.message);
  if (detail.life === "live" && at("phase").dataset.phase === "connecting") stage.showPhase("idle");
  if (detail.error?.kind === "key") askForKey();
});

const ANSWERS = {
  "agent.state_changed": (m) => stage.showPhase(m.state),
  "session.state_updated": (m) => m.phase && stage.showPhase(m.phase),
  "agent.speak_started": (m) => {
    captions.begin(m.event_id);
    composer.offerResume(false);
  },
  "agent.speak_ended": () => captions.end(),
  "agent.speak_interrupted": () => {
    captions.end();
    stage.hush();
    composer.offerResume(true);
  },
  "agent.said": (m) => captions.add(m.event_id, m.text),
  "user.said": (m) => captions.hear(m.text),
  "metrics.frame": (m) => stats.hear(m),
  "session.quality_changed": (m) => stats.hearLevel(m.quality),
  "session.disclosure": (m) => showDisclosure(m.text),
  "page.weak": () => toast("The connection is weak."),
  error: (m) => toast(m.message ?? "The server could not do that."),
};
conversation.addEventListener("message", ({ detail }) => ANSWERS[detail.type]?.(detail));

function showDisclosure(text) {
  if (text) at("disclosure").textContent = text;
}

/* What goes to the server */

controls.addEventListener("message", ({ detail }) => conversation.send(detail));
composer.addEventListener("say", ({ detail }) => live(async () => {
  captions.add(await conversation.say(detail), detail);
}));
composer.addEventListener("sound", ({ detail }) => live(async () => {
  captions.add(await conversation.playSound(detail), `♪ ${detail.name}`);
}));
composer.addEventListener("portrait", ({ detail }) => avatars.offer(detail));
composer.addEventListener("interrupt", () => {
  if (document.body.dataset.speaking === "yes") stage.hush();
  conversation.interrupt().catch((error) => toast(error.message));
});
composer.addEventListener("resume", () => {
  composer.offerResume(false);
  conversation.send({ type: "agent.resume" });
});
composer.addEventListener("hold", ({ detail }) => talk(() => microphone.hold(detail), detail));
composer.addEventListener("handsfree", ({ detail }) => talk(() => microphone.handsFree(detail), detail));

async function talk(turn, isOn) {
  try {
    await turn();
    if (isOn && !conversation.isLive && microphone.wanted) await live(() => {});
  } catch (error) {
    toast(error.message);
  }
  composer.showHandsFree(microphone.isHandsFree);
}

microphone.addEventListener("track", ({ detail }) => conversation.link?.useMicrophone(detail));
microphone.addEventListener("level", ({ detail }) => composer.showLevel(detail));
microphone.addEventListener("talking", ({ detail }) => {
  composer.showTalking(detail);
  composer.showHandsFree(microphone.isHandsFree);
  if (!microphone.isHandsFree) conversation.send({ type: detail ? "agent.start_listening" : "agent.stop_listening" });
});

for (const name of ["pointerdown", "keydown"]) addEventListener(name, () => conversation.touch(), { passive: true });
addEventListener("pagehide", () => conversation.abandon());

/** Keep a phone's screen on during a conversation, where the browser can. */
async function stayAwake(isOn) {
  if (isOn && !wakeLock) wakeLock = await navigator.wakeLock?.request("screen").catch(() => null);
  if (!isOn) wakeLock?.release();
  if (!isOn) wakeLock = null;
}

/* Loading */

function askForKey() {
  at("key").showModal();
}
at("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  at("key").close();
  api.useKey(at("key-value").value);
  load();
});

async function load() {
  try {
    const config = await api.request("GET", "config");
    showDisclosure(config.disclosure);
    stage.showBadge(config.badge, config.is_badge_drawn);
    controls.offer("agent", config.agents, config.agent);
    controls.offer("quality", config.qualities, config.quality);
    avatars.mustConsent = config.is_consent_required;
    if (!config.has_voice) composer.withoutVoice();
    conversation.prepare(config.ice_servers).catch((error) => console.warn(error.message));
    await avatars.show(config.avatars, config.default_avatar);
    stage.showLife({ life: "ready" });
  } catch (error) {
    if (error.kind === "key") return askForKey();
    if (!error.kind) throw error;
    stage.showLife({ life: "failed", message: error.message, canRetry: true });
    at("retry").addEventListener("click", load, { once: true });
  }
  return undefined;
}

document.querySelector("details.panel").open = matchMedia("(min-width: 60rem)").matches;
load();
