// One request: its papers and recordings, each step of the procedure against its standard time, and the next one.

import { ask, complain, doing, once } from "./api.js";
import { nameTab } from "./bar.js";
import { el, fact, make, onSubmit, say } from "./dom.js";
import { chosenPapers, entries } from "./papers.js";
import { moment, span, t } from "./texts.js";

const BADGES = { met: "ok", late: "bad", due: "warn", waiting: "", dropped: "" };
const id = el("request").dataset.id;

function stepRow(step) {
  const late = step.late_s === null ? "" : t("requests.late", { span: span(step.late_s) });
  const left = step.left_s === null ? "" : t("requests.left", { span: span(step.left_s) });
  return make("tr", make("th", { scope: "row" }, `${step.number}. ${t(`step.${step.kind}`, { to: step.to })}`), make("td", step.by),
    make("td number", moment(step.due_at)), make("td number", moment(step.done_at)),
    make("td", make(`span badge ${BADGES[step.state]}`, t(`step.state.${step.state}`)), make("p small", late || left)));
}

const base = `/requests/${encodeURIComponent(id)}`;
const link = (href, text, properties = {}) => make("li", make("a", { href, ...properties }, text));

function show(found) {
  const { request } = found;
  say(el("event"), request.event);
  nameTab(`${request.event} – Liput`);
  el("stage").className = `badge ${found.complete ? "ok" : "warn"}`;
  say(el("stage"), found.complete ? t("requests.complete") : t("requests.lacks", { what: found.lacks.map((word) => t(`lack.${word}`)).join(", ") }));
  el("facts").replaceChildren(...[fact("package.applicant", request.applicant), fact("requests.unit", request.unit), fact("package.letter", request.letter_number),
    fact("package.room", request.place), fact("requests.starts", moment(request.starts_at)), fact("requests.holder", found.holder)].filter(Boolean));
  el("record").href = `/?request=${encodeURIComponent(found.id)}`;
  el("schedule").href = `/schedule?request=${encodeURIComponent(found.id)}`;
  el("commands").hidden = el("attach").hidden = request.state !== "open";
  el("steps").replaceChildren(...found.steps.map(stepRow));
  el("papers").replaceChildren(...request.letters.map(({ file, kind, name }) => link(`/api/v1${base}/papers/${file}`,
    `${t(`requests.paper.${kind}`)}: ${name || file}`, { target: "_blank" })));
  el("recordings").replaceChildren(...request.recordings.map(({ uuid, title, started_at: at }) =>
    link(`/archive/${uuid}`, `${title}, ${moment(at)}`)));
  say(el("no-papers"), request.letters.length ? "" : t("requests.papers.none"));
  say(el("no-recordings"), request.recordings.length ? "" : t("requests.recordings.none"));
  const { roles } = request.procedure;
  const next = roles.slice(roles.indexOf(found.holder) + 1);
  el("dispose").hidden = request.state !== "open" || !next.length;
  el("to").replaceChildren(...next.map((role) => make("option", { value: role }, role)));
}

/** Do what a form asks for, and show the request as it is then. */
const send = (form, action) => onSubmit(el(form), (button) => doing(button, async () => {
  const papers = await chosenPapers(el(`${form}-papers`));
  const found = await ask("POST", `${base}/${action}`, { ...entries(el(form)), papers }, once());
  el(form).reset();
  show(found);
  el("event").focus();
}));

send("dispose", "dispositions");
send("attach", "papers");
ask("GET", base).then(show, complain);
