// The planned end of a session, and a quarter of an hour more.

import { ask, doing } from "./api.js";
import { make, press, say } from "./dom.js";
import { records } from "./light.js";
import { live } from "./live.js";
import { hour, span, t } from "./texts.js";

const MORE_MS = 15 * 60_000;
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

const prolong = (button, { id, ends_at: ends }) => doing(button, async () =>
  take(await ask("PATCH", `/schedule/${encodeURIComponent(id)}`, { ends: new Date(Date.parse(ends) + MORE_MS).toISOString() })));

/** Make the line of a planned end. */
export function makeEnd() {
  const row = make("p row small end", make("span"), press(t("planned.more"), (button) => prolong(button, row.plan)));
  row.hidden = true;
  return row;
}

export function showEnd(row, session) {
  row.plan = session && records(session) ? plans.get(session.id) : null;
  row.hidden = !row.plan;
  if (row.hidden) return;
  const leftS = (Date.parse(row.plan.ends_at) - nowMs) / 1000;
  say(row.firstChild, t(leftS > 0 ? "planned.end" : "planned.over", { time: hour(row.plan.ends_at), left: span(leftS) }));
}
