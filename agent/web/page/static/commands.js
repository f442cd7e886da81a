// What the operator does to a session: start, stop, layouts, marks, mute.

import { ask, doing, once } from "./api.js";
import { stop } from "./bar.js";
import { el, keep, make, onSubmit, say } from "./dom.js";
import { records } from "./light.js";
import { live } from "./live.js";
import { chosen } from "./sources.js";
import { clock, t } from "./texts.js";

const SOON_MS = 30 * 60_000;
let session = null;
let isBegunHere = false; // the focus goes to Stop then: what had it is hidden
const path = (rest) => `/sessions/${session.id}/${rest}`;

function wish(armOnly) {
  const data = new FormData(el("new"));
  const asked = { title: el("new-title").value.trim(), arm_only: armOnly, layout: el("new-layout").value, consent: el("new-consent").value,
    alone: !session, streams: data.getAll("stream"), ...chosen(data) };
  if (el("new-practice").checked) asked.practice = true; // it counts for no request
  else if (el("new-request").value) asked.request = el("new-request").value;
  return asked;
}

async function begin(asked) {
  say(el("busy"), t("start.busy"));
  try {
    await ask("POST", "/sessions", asked, once());
    el("new").reset();
    isBegunHere = true;
  } finally {
    say(el("busy"), "");
  }
}

onSubmit(el("new"), (submitter) => {
  const button = submitter ?? el("record");
  const asked = wish(button === el("arm"));
  doing(button, () => begin(asked), () => begin({ ...asked, although_refused: true }));
});
// Another language loads the page anew; what was typed stays.
el("new-title").value = sessionStorage.getItem("title") ?? "";
addEventListener("pagehide", () => sessionStorage.setItem("title", el("new-title").value));

/** Offer the requests that are open; the event of the one that is chosen is the title, unless there is one. */
async function offerRequests() {
  const { requests: found } = await ask("GET", "/requests").catch(() => ({ requests: [] }));
  el("request-box").hidden = !found.length;
  el("new-request").append(...found.map(({ id, event }) => new Option(event, id)));
  el("new-request").value = new URLSearchParams(location.search).get("request") ?? "";
  takeTitle();
}

function takeTitle() {
  const choice = el("new-request").selectedOptions[0];
  if (choice?.value && !el("new-title").value) el("new-title").value = choice.text;
}
/** Take the title of the plan whose time it is, or soon will be, unless there is one. */
live.addEventListener("state", async ({ detail: { at } }) => {
  const nowMs = Date.parse(at);
  const { plans } = await ask("GET", "/schedule").catch(() => ({ plans: [] }));
  const due = plans.find(({ status, plan }) => status === "planned" && Date.parse(plan.starts_at) - SOON_MS < nowMs);
  if (due && !el("new-title").value) el("new-title").value = due.plan.title;
}, { once: true });

el("new-request").addEventListener("change", takeTitle);
offerRequests();

el("start").addEventListener("click", () => {
  const seconds = el("pre-roll").checked ? Number(el("pre-roll").value) : 0;
  doing(el("start"), () => ask("POST", path("start"), { pre_roll_s: seconds }));
});
el("disarm").addEventListener("click", () => doing(el("disarm"), () => ask("POST", path("disarm"), {})));

el("stop").addEventListener("click", () => stop(el("stop"), session));

for (const button of document.querySelectorAll("#layouts button")) {
  button.addEventListener("click", () => doing(button, () => ask("POST", path("layout"), { name: button.value })));
}

onSubmit(el("mark"), async (button) => {
  const note = el("mark-note");
  if (await doing(button, () => ask("POST", path("mark"), { text: note.value.trim() || t("mark.default") }))) note.value = "";
});

el("rename-box").addEventListener("toggle", () => {
  if (el("rename-box").open) el("rename-title").value = session.title;
});
onSubmit(el("rename"), async (button) => {
  if (await doing(button, () => ask("POST", path("title"), { title: el("rename-title").value.trim() }))) el("rename-box").open = false;
});

export const mute = (button, name, on) => doing(button, () => ask("POST", path("mute"), { name, on }));
el("mute-all").addEventListener("click", () => mute(el("mute-all"), null, el("mute-all").getAttribute("aria-pressed") !== "true"));

/** Show what can be done to `now`, the session that is looked at. */
export function showCommands(now) {
  session = now;
  const state = now?.status?.state;
  const isArmed = state === "armed";
  const isRecorded = Boolean(now) && records(now);
  el("new").hidden = Boolean(now) && state !== "sealing" && state !== "sealed" && state !== "failed";
  el("armed").hidden = !isArmed && state !== "idle";
  el("start").disabled = !isArmed;
  el("rename-box").hidden = !(isArmed || isRecorded);
  el("stop").hidden = el("mark").hidden = !isRecorded;
  if (isBegunHere && (isRecorded || isArmed)) {
    isBegunHere = false;
    el(isRecorded ? "stop" : "start").focus();
  }
  el("live-tools").hidden = !(isRecorded || isArmed);
  keep(el("marks"), [...(now?.status?.marks ?? [])].reverse(), (mark) => `${mark.media_s} ${mark.text}`,
    (mark) => make("li small", t("mark.done", { time: clock(mark.media_s), text: mark.text })));
  const kept = Math.floor(now?.status?.pre_roll_s ?? 0);
  el("pre-roll-box").hidden = !isArmed || kept < 5;
  el("pre-roll").value = Math.min(15, kept);
  say(el("pre-roll-text"), t("start.pre-roll", { seconds: Math.min(15, kept) }));
  for (const button of document.querySelectorAll("#layouts button")) {
    button.setAttribute("aria-pressed", button.value === now?.status?.layout);
  }
}
