// What is planned, day by day, and when what is done for it; planned and removed here too.

import { ask, complain, doing, once } from "./api.js";
import { el, keep, make, message, onSubmit, press, say, sure } from "./dom.js";
import { live } from "./live.js";
import { language, locale, t } from "./texts.js";

let seen; // which schedule is shown, or is being asked for, in which minute

function create() {
  const row = make("li", make("div stack"), make("div", press(t("schedule.remove"), (button) => sure(el("sure"), row.words,
    () => doing(button, async () => {
      await ask("DELETE", `/schedule/${encodeURIComponent(row.dataset.key)}`);
      el("heading").focus(); // the button goes
    })))));
  return row;
}

/** Show the plans in the office's zone, whatever the browser's. */
function show({ zone, plans }) {
  const format = (options) => new Intl.DateTimeFormat(locale, { timeZone: zone || undefined, ...options });
  const day = format({ dateStyle: "full" });
  const hours = format({ hour: "2-digit", minute: "2-digit", timeZoneName: "short" });
  const [time, moment] = [format({ timeStyle: "short" }), format({ dateStyle: "medium", timeStyle: "short" })];
  const dayOf = (text) => day.format(new Date(text));

  function update(row, { plan, status, coming }) {
    const when = plan.all_day ? t("schedule.all-day") : hours.formatRange(new Date(plan.starts_at), new Date(plan.ends_at));
    const facts = [plan.room, plan.source ? t("schedule.calendar", { name: plan.source.feed }) : t("schedule.by-hand"), ...plan.streams];
    row.words = `${plan.title}, ${when}`;
    row.querySelector("button").ariaLabel = `${t("schedule.remove")}: ${row.words}`;
    row.firstChild.replaceChildren(
      make("div spread", make("span name", `${when} · ${plan.title}`),
        status === "planned" ? null : make(`span badge ${status === "running" ? "ok" : "warn"}`, t(`schedule.status.${status}`)),
        make("span badge", el("mode").querySelector(`[value=${plan.mode}]`).text)),
      make("p small muted", facts.filter(Boolean).join(" · ")),
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

live.addEventListener("state", ({ detail: { notices, schedule, at } }) => {
  keep(el("notices"), notices, (one) => `${one.plan} ${one.at}`,
    ({ text, urgent }) => make("li", message(urgent ? "" : "note", make("p", text[language]))));
  const now = `${schedule} ${at.slice(0, 16)}`; // what is over is gone, also where nothing was done for it
  if (now !== seen) load(now);
});

onSubmit(el("plan"), (button) => doing(button, async () => {
  const form = new FormData(el("plan"));
  const { title, date, starts, ends, mode } = Object.fromEntries(form);
  await ask("POST", "/schedule", { title, starts: `${date} ${starts}`, ends, mode, streams: form.getAll("stream") }, once());
  say(el("done"), t("schedule.done", { title }));
  el("plan").reset();
}));
