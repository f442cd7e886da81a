// One request: who asked for what, and each step of the procedure against its standard time.

import { ask, complain } from "./api.js";
import { nameTab } from "./bar.js";
import { el, fact, make, say } from "./dom.js";
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

ask("GET", `/requests/${encodeURIComponent(id)}`).then((found) => {
  const { request } = found;
  say(el("event"), request.event);
  nameTab(`${request.event} – Liput`);
  el("stage").className = `badge ${found.complete ? "ok" : "warn"}`;
  say(el("stage"), found.complete ? t("requests.complete") : t("requests.lacks", { what: found.lacks.map((word) => t(`lack.${word}`)).join(", ") }));
  el("facts").replaceChildren(...[fact("package.applicant", request.applicant), fact("requests.unit", request.unit), fact("package.letter", request.letter_number),
    fact("package.room", request.place), fact("requests.starts", moment(request.starts_at)), fact("requests.holder", found.holder)].filter(Boolean));
  el("record").href = `/?request=${encodeURIComponent(found.id)}`;
  el("record").hidden = request.state !== "open";
  el("steps").replaceChildren(...found.steps.map(stepRow));
}, complain);
