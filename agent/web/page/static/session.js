// The session screen: which session is looked at, and everything that is shown of it.

import { showAlarms } from "./alarms.js";
import { nameTab, wordOf } from "./bar.js";
import { showCommands } from "./commands.js";
import { showDestinations } from "./destinations.js";
import { el, say } from "./dom.js";
import { showEnds } from "./ends.js";
import { live } from "./live.js";
import { makeEnd, showEnd } from "./planned.js";
import { showPictures } from "./preview.js";
import { showSound } from "./sound.js";
import { clock, number, size, span, t, titleOf } from "./texts.js";

const ORDER = ["degraded", "live", null, "armed", "idle", "sealing", "sealed", "failed"];
const SHORT_S = 1800;
const end = makeEnd();
el("elapsed").after(end);
let last = null;

/** Of several sessions the one that records counts most, then one whose recorder does not answer, then the next one. */
const chosen = (sessions) => [...sessions].sort((one, other) => ORDER.indexOf(one.state) - ORDER.indexOf(other.state))[0] ?? null;

function showFacts(session, word) {
  const status = session?.status;
  el("light").className = `light ${word}`;
  say(el("light"), t(`light.${word}`));
  el("facts").hidden = !status;
  say(el("session-title"), session ? titleOf(session) : t("session.title"));
  showEnd(end, session);
  const isBefore = !status || word === "armed" || word === "opening";
  el("elapsed").hidden = el("on-disk").parentElement.hidden = isBefore;
  nameTab(`${session?.title ?? t("session.title")} – Liput`);
  if (!status) return;
  say(el("elapsed"), clock(status.elapsed_s));
  say(el("on-disk"), `${size(status.bytes)} · ${clock(status.media_time_s)}`);
  say(el("disk-left"), status.disk_left_s === null ? t("session.disk-unknown") : span(status.disk_left_s));
  el("disk-left").classList.toggle("warn", status.disk_left_s !== null && status.disk_left_s < SHORT_S);
  say(el("rate"), number(status.fps, 1));
  say(el("dropped"), number(status.dropped));
  el("dropped").classList.toggle("warn", status.dropped > 0);
}

function show(state) {
  last = state;
  const session = chosen(state.sessions);
  const word = session ? wordOf(session) : "idle";
  showFacts(session, word);
  showAlarms(state, session, word === "stalled");
  showCommands(session);
  const shown = session ?? state.preview;
  el("destinations-panel").hidden = el("live-tools").hidden;
  el("side-tools").hidden = el("live-tools").hidden && !state.preview;
  showSound(shown, !session);
  showPictures(shown, !session);
  showDestinations(session);
  showEnds(state);
}

live.addEventListener("state", ({ detail }) => show(detail));
document.addEventListener("visibilitychange", () => last && show(last));
