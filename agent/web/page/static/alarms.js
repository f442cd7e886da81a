// What is wrong, over the picture; and for a moment, that it is right again.

import { el, keep, make, say } from "./dom.js";
import { t } from "./texts.js";
import { isGrave, troubleText } from "./words.js";

const GOOD_NEWS_MS = 8000;
const ENDED = [
  [/^source-(lost|silent|missing)$/, "source-returned"],
  [/^source-/, "source-recovered"],
  [/^recording-stalled$/, "recording-resumed"],
  [/^destination-slow$/, "destination-keeps-up"],
];
let before = new Map();
let good = [];

/** Return what is wrong now, each thing once: `key`, `kind`, `text`, `isBad`. */
function troubles(state, session, isStalled) {
  const found = new Map();
  const add = (kind, subject, fallback) => {
    const key = `${kind}: ${subject}`;
    if (!found.has(key)) found.set(key, { key, kind, subject, text: troubleText(kind, subject, session, fallback), isBad: isGrave(kind) });
  };
  if (session && !session.state) found.set("silent", { key: "silent", kind: "", text: t("alarm.silent-recorder"), isBad: true });
  if (isStalled) found.set("stalled", { key: "stalled", kind: "", text: t("alarm.stalled"), isBad: true });
  for (const trouble of session?.status?.troubles ?? []) {
    const [kind, ...subject] = trouble.split(": ");
    if (!(isStalled && kind === "recording-stalled")) add(kind, subject.join(": "));
  }
  for (const source of session?.status?.sources ?? []) {
    const fault = source.health.fault;
    if (fault && fault !== "lost" && fault !== "no-data") add(`source-${fault}`, source.role ?? source.name, source.health.reason);
  }
  for (const { kind, subject, text, message } of state.alarms) add(kind, subject, text?.[document.documentElement.lang] ?? message);
  for (const { plan, text, urgent } of state.notices ?? []) {
    const key = `notice ${plan}`;
    found.set(key, { key, kind: "", text: text[document.documentElement.lang], isBad: false, isNote: !urgent });
  }
  if (state.problem) {
    found.set("problem", { key: "problem", kind: "", text: t("live.settings", { problem: state.problem }), isBad: false });
  }
  if (state.standing.length) {
    found.set("standing", { key: "standing", kind: "", text: t("live.standing", { names: state.standing.join(", ") }), isBad: false });
  }
  return found;
}

function noticeEnds(now, session) {
  for (const [key, { kind, subject }] of before) {
    const end = !now.has(key) && session && ENDED.find(([pattern]) => pattern.test(kind));
    if (end) good.push({ key: `good ${key}`, text: troubleText(end[1], subject, session), until: performance.now() + GOOD_NEWS_MS, isGood: true });
  }
  good = good.filter((news) => news.until > performance.now() && !now.has(news.key.slice(5)));
}

export function showAlarms(state, session, isStalled) {
  const now = troubles(state, session, isStalled);
  noticeEnds(now, session);
  before = now;
  const shown = [...now.values()].sort((one, other) => other.isBad - one.isBad).concat(good);
  keep(el("alarms"), shown, (alarm) => alarm.key,
    () => make("li", {}, make("span", { className: "sign", "aria-hidden": "true" }), make("div", {}, make("p"))),
    (row, alarm) => {
      row.className = `alarm${alarm.isBad ? " bad" : ""}${alarm.isGood ? " ok" : ""}${alarm.isNote ? " note" : ""}`;
      say(row.querySelector("p"), alarm.text);
    });
}
