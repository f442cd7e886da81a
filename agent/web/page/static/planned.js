// The planned end of a session, and a quarter of an hour more.

import { ask, doing } from "./api.js";
import { make, press, say } from "./dom.js";
import { records } from "./light.js";
import { live } from "./live.js";
import { hour, span, t } from "./texts.js";

const MINUTE_MS = 60_000;
const MORE_MS = 15 * MINUTE_MS;
let plans = new Map(); // the plans of running sessions, by session
let seen = ""; // the schedule that was asked for
let nowMs = 0; // of this PC, whatever the browser's clock says

const take = ({ plan, done }) => plans.set(done?.recorder, plan);

live.addEventListener("state", async ({ detail: { at, schedule, sessions } }) => {
  nowMs = Date.parse(at);
  const asked = sessions.some(records) ? `${schedule}` : "";
  if (asked === seen) return;
  seen = asked;
  const { plans: found } = asked ? await ask("GET", "/schedule").catch(() => ({ plans: [] })) : { plans: [] };
  plans = new Map();
  found.forEach(take);
});

/** Return the time of a session's planned end, in ms, and the request that moves it; null without one. */
function endOf({ id, status }) {
  const plan = plans.get(id);
  if (plan) {
    const atMs = Date.parse(plan.ends_at);
    const ends = new Date(atMs + MORE_MS).toISOString();
    return { atMs, more: async () => take(await ask("PATCH", `/schedule/${encodeURIComponent(plan.id)}`, { ends })) };
  }
  const leftMs = (status?.ends_in_s ?? NaN) * 1000;
  const body = { ends_in_s: (leftMs + MORE_MS) / 1000 };
  return Number.isNaN(leftMs) ? null : { atMs: nowMs + leftMs, more: () => ask("POST", `/sessions/${id}/end`, body) };
}

/** Make the line of a planned end. */
export function makeEnd() {
  const row = make("p row small end", make("span"), press(t("planned.more"), (button) => doing(button, row.planned.more)));
  row.hidden = true;
  return row;
}

export function showEnd(row, session) {
  row.planned = session && records(session) ? endOf(session) : null;
  row.hidden = !row.planned;
  if (row.hidden) return;
  const { atMs } = row.planned;
  const leftS = (atMs - nowMs) / 1000;
  const time = hour(new Date(Math.round(atMs / MINUTE_MS) * MINUTE_MS)); // a clock that moves a little moves no minute
  say(row.firstChild, t(leftS > 0 ? "planned.end" : "planned.over", { time, left: span(leftS) }));
}
