// What is planned, day by day, and when what is done for it; planned, edited, repeated and removed here too.

import { ask, complain, doing, once } from "./api.js";
import { el, keep, make, message, onSubmit, press, say, sure } from "./dom.js";
import { live } from "./live.js";
import { language, locale, t } from "./texts.js";

const WEEK_MS = 7 * 86_400_000;
const fields = el("plan").elements;

let seen; // which schedule is shown, or is being asked for, in which minute
let sessions = []; // those that run now
let local = (moment) => moment; // "2026-12-01 09:00" in the office's zone
let filled = null; // what the form was filled with: a plan to edit or to repeat, or what a request asks for

/** Fill the form with a plan, or empty it. */
function fill(plan, isEdited = false) {
  el("plan").reset();
  filled = plan && { ...plan, isEdited };
  say(el("plan-name"), t(isEdited ? "schedule.change" : "schedule.new"));
  say(el("add"), t(isEdited ? "schedule.save" : "schedule.add"));
  say(el("done"), "");
  el("plan").querySelector("[type=reset]").hidden = !plan;
  if (!plan) return;
  fields.title.value = plan.title;
  if (plan.mode) fields.mode.value = plan.mode;
  if (plan.starts_at) [fields.date.value, fields.starts.value] = local(Date.parse(plan.starts_at)).split(" ");
  if (plan.ends_at) fields.ends.value = local(Date.parse(plan.ends_at)).split(" ")[1];
  for (const box of el("plan").querySelectorAll("[name=stream]")) box.checked = Boolean(plan.streams?.includes(box.value));
  filled.form = Object.fromEntries(new FormData(el("plan")));
  fields.title.focus();
}

const weekLater = (moment) => new Date(Date.parse(moment) + WEEK_MS).toISOString();
const later = (plan) => ({ ...plan, starts_at: weekLater(plan.starts_at), ends_at: weekLater(plan.ends_at) });

/** Return when it is, as far as the form says it anew; an end on the next day stays there while both times stay. */
function times({ date, starts, ends }) {
  const before = filled?.ends_at && filled.form;
  if (!before || starts !== before.starts || ends !== before.ends) return { starts: `${date} ${starts}`, ends };
  if (filled.isEdited) return date === before.date ? {} : { starts: `${date} ${starts}` };
  return { starts: `${date} ${starts}`, for_s: (Date.parse(filled.ends_at) - Date.parse(filled.starts_at)) / 1000 };
}

function create() {
  const row = make("li", make("div stack"), make("div row",
    press(t("schedule.edit"), () => fill(row.plan, true)),
    press(t("schedule.repeat"), () => fill(later(row.plan))),
    press(t("schedule.remove"), (button) => sure(el("sure"), row.words, () => doing(button, async () => {
      await ask("DELETE", `/schedule/${encodeURIComponent(row.dataset.key)}`);
      el("heading").focus(); // the button goes
    })))));
  return row;
}

/** "armed" where its recorder only holds the devices. */
function statusOf({ status, done }) {
  const isArmed = sessions.some((one) => one.id === done?.recorder && one.status?.state === "armed");
  return status === "running" && isArmed ? "armed" : status;
}

/** Show the plans in the office's zone, whatever the browser's. */
function show({ zone, plans }) {
  const format = (options) => new Intl.DateTimeFormat(locale, { timeZone: zone || undefined, ...options });
  const day = format({ dateStyle: "full" });
  const hours = format({ hour: "2-digit", minute: "2-digit", timeZoneName: "short" });
  const [time, moment] = [format({ timeStyle: "short" }), format({ dateStyle: "medium", timeStyle: "short" })];
  const dayOf = (text) => day.format(new Date(text));

  local = (ms) => new Intl.DateTimeFormat("sv-SE", { timeZone: zone || undefined, dateStyle: "short", timeStyle: "short" }).format(ms);

  function update(row, found) {
    const { plan, coming } = found;
    const status = statusOf(found);
    const when = plan.all_day ? t("schedule.all-day") : hours.formatRange(new Date(plan.starts_at), new Date(plan.ends_at));
    const facts = [plan.room, plan.source ? t("schedule.calendar", { name: plan.source.feed }) : t("schedule.by-hand"), ...plan.streams];
    row.plan = plan;
    row.words = `${plan.title}, ${when}`;
    for (const button of row.lastChild.children) button.ariaLabel = `${button.textContent}: ${row.words}`;
    row.firstChild.replaceChildren(
      make("div spread", make("span name", `${when} · ${plan.title}`),
        status === "planned" ? null : make(`span badge ${status === "running" ? "ok" : "warn"}`, t(`schedule.status.${status}`)),
        make("span badge", el("mode").querySelector(`[value=${plan.mode}]`).text)),
      make("p small muted", facts.filter(Boolean).join(" · ")),
      ...found.overlaps.map((title) => make("p small", make("span badge warn", t("schedule.overlaps", { title })))),
      make("ol row small", ...coming.map(({ what, at }) => make("li badge",
        `${(dayOf(at) === dayOf(plan.starts_at) ? time : moment).format(new Date(at))} ${t(`schedule.step.${what}`)}`))));
  }

  say(el("nothing"), plans.length ? "" : t("schedule.none"));
  keep(el("days"), Map.groupBy(plans, ({ plan }) => dayOf(plan.starts_at)), ([name]) => name,
    ([name]) => make("section panel", make("h2", name), make("ul rows")),
    (box, [, those]) => keep(box.lastChild, those, ({ plan }) => plan.id, create, update));
}

async function load(now) {
  seen = now;
  try {
    const found = await ask("GET", "/schedule");
    if (now === seen) show(found);
  } catch (error) {
    if (error.status === 0) seen = ""; // that it is away is said already
    else complain(error);
  }
}

live.addEventListener("state", ({ detail: { notices, schedule, at, sessions: running } }) => {
  sessions = running;
  keep(el("notices"), notices, (one) => `${one.plan} ${one.at}`,
    ({ text, urgent }) => make("li", message(urgent ? "" : "note", make("p", text[language]))));
  const states = running.map(({ id, status }) => `${id} ${status?.state}`);
  const now = `${schedule} ${at.slice(0, 16)} ${states}`; // what is over is gone, also where nothing was done for it
  if (now !== seen) load(now);
});

onSubmit(el("plan"), (button) => doing(button, async () => {
  const form = new FormData(el("plan"));
  const { title, mode } = Object.fromEntries(form);
  const asked = { title, mode, streams: form.getAll("stream"), ...times(Object.fromEntries(form)) };
  if (filled?.isEdited) await ask("PATCH", `/schedule/${encodeURIComponent(filled.id)}`, asked);
  else {
    const { request, videos, audios, layout, profile } = filled ?? {};
    await ask("POST", "/schedule", { ...asked, request, videos, audios, layout, profile }, once());
  }
  const done = t(filled?.isEdited ? "schedule.changed" : "schedule.done", { title });
  fill(null);
  say(el("done"), done);
}));
el("plan").querySelector("[type=reset]").addEventListener("click", () => fill(null));

const wanted = new URLSearchParams(location.search).get("request");
if (wanted) {
  Promise.all([ask("GET", "/schedule"), ask("GET", `/requests/${encodeURIComponent(wanted)}`)]).then(([found, { id, request }]) => {
    show(found);
    fill({ title: request.event, request: id, starts_at: request.starts_at, ends_at: request.ends_at });
  }, complain);
}
