// The program's sound and each input's: meters, loudness, mute.

import { doing } from "./api.js";
import { mute } from "./commands.js";
import { el, keep, make, say } from "./dom.js";
import { live } from "./live.js";
import { showLevels } from "./meters.js";
import { number, t } from "./texts.js";
import { subjectText } from "./words.js";

let listening = null; // the session or preview that is heard
let shown = null;
let isIdle = false;

function create({ name }) {
  const label = subjectText(name, shown);
  const button = make("button", { type: "button", className: "compact", "aria-pressed": "false" });
  button.addEventListener("click", () => mute(button, name, button.getAttribute("aria-pressed") !== "true"));
  return make("li", { className: "sound" }, make("span", { className: "name", textContent: label }),
    make("span", { className: "row" }, make("span", { className: "level small" }), button), make("div", { className: "bars" }));
}

function update(row, { name, muted }) {
  const button = row.querySelector("button");
  row.classList.toggle("is-muted", muted);
  button.setAttribute("aria-pressed", muted);
  const label = subjectText(name, shown);
  button.hidden = isIdle;
  say(button, t("mute.short"));
  button.setAttribute("aria-label", t("mute.on", { name: label }));
  if (muted) say(row.querySelector(".level"), t("mute.is"));
}

/** Play the sound of `session`, or of none. */
function listen(session) {
  listening = session?.id ?? null;
  el("listen").setAttribute("aria-pressed", Boolean(session));
  el("heard").removeAttribute("src");
  el("heard").load();
  if (!session) return;
  el("heard").src = `/api/v1/sessions/${session.id}/sound`;
  doing(el("listen"), () => el("heard").play());
}
el("listen").addEventListener("click", () => listen(listening ? null : shown));
el("heard").addEventListener("ended", () => listen(null));

/** Show the sound of `session`, or of the room while there `isRoom`. */
export function showSound(session, isRoom) {
  [shown, isIdle] = [session, isRoom];
  const status = session?.status;
  const sounds = status?.sounds ?? [];
  say(el("no-sound-text"), t(isIdle ? "meters.none.idle" : "meters.none"));
  el("no-sound").hidden = !status || sounds.length > 0 || status.levels_dbfs.length > 0;
  el("program-sound").hidden = el("listen").hidden = !status?.levels_dbfs.length;
  if (listening && listening !== session?.id) listen(null);
  keep(el("sounds"), sounds, (sound) => sound.name, create, update);
  const all = el("mute-all");
  all.hidden = isIdle || sounds.length < 2;
  all.setAttribute("aria-pressed", sounds.length > 0 && sounds.every((sound) => sound.muted));
  const loud = status?.loudness.short_term_lufs;
  say(el("loudness"), typeof loud === "number" ? t("unit.lufs", { value: number(loud, 1) }) : "–");
  if (status) take({ session: session.id, levels_dbfs: status.levels_dbfs, sounds });
}

/** Show levels, ten times a second; those of the state line are the same kind of thing, seldomer. */
function take({ session, levels_dbfs: program, sounds }) {
  if (session !== shown?.id) return;
  showLevels(el("program-bars"), el("program-level"), t("meters.program"), program);
  for (const { name, levels_dbfs: levels } of sounds) {
    const row = [...el("sounds").children].find((child) => child.dataset.key === name);
    if (!row) continue;
    const isMuted = row.classList.contains("is-muted");
    showLevels(row.querySelector(".bars"), isMuted ? make("span") : row.querySelector(".level"), subjectText(name, shown), levels);
  }
}

live.addEventListener("levels", ({ detail }) => take(detail));
