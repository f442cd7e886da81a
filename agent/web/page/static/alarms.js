// What is wrong, over the picture; and for a moment, that it is right again.

import { el, forIt, keep, make, say } from "./dom.js";
import { inWords, t } from "./texts.js";

const GOOD_NEWS_MS = 8000;
let before = new Map();
let good = [];

/** Return what is wrong now, each thing once: `key`, `text`, `isBad`, and `over`, what is said when it has ended. */
function troubles(state, session, isStalled) {
  const found = new Map();
  const add = (key, text, more = {}) => found.set(key, { key, text, isBad: false, ...more });
  const isTold = state.troubles.some(({ kind, session: whose }) => kind === "recorder-silent" && whose === session?.id);
  if (session && !session.state && !isTold) add("silent", t("alarm.silent-recorder"), { isBad: true });
  if (isStalled) add("stalled", t("alarm.stalled"), { isBad: true });
  for (const { id, kind, text, over, is_grave: isBad } of state.troubles) {
    if (!(isStalled && kind === "recording-stalled")) add(id, inWords(text), { isBad, over });
  }
  for (const { plan, text, urgent } of state.notices ?? []) add(`notice ${plan}`, inWords(text), { isNote: !urgent });
  if (state.problem) add("problem", t("live.settings"), { detail: state.problem });
  if (state.standing.length) add("standing", t("live.standing", { names: state.standing.join(", ") }));
  return found;
}

function noticeEnds(now, session) {
  for (const [key, { over }] of before) {
    if (over && session && !now.has(key)) good.push({ key: `good ${key}`, text: inWords(over), until: performance.now() + GOOD_NEWS_MS, isGood: true });
  }
  good = good.filter((news) => news.until > performance.now() && !now.has(news.key.slice(5)));
}

export function showAlarms(state, session, isStalled) {
  const now = troubles(state, session, isStalled);
  noticeEnds(now, session);
  before = now;
  const shown = [...now.values()].sort((one, other) => other.isBad - one.isBad).concat(good);
  keep(el("alarms"), shown, (alarm) => alarm.key,
    ({ detail }) => make("li", make("span sign", { "aria-hidden": "true" }), make("div", make("p"), forIt(detail))),
    (row, alarm) => {
      row.className = `alarm${alarm.isBad ? " bad" : ""}${alarm.isGood ? " ok" : ""}${alarm.isNote ? " note" : ""}`;
      say(row.querySelector("p"), alarm.text);
    });
}
