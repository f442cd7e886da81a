// The requests that are open, each with the step whose standard time runs; new ones are entered here.

import { ask, complain, doing, once } from "./api.js";
import { el, fact, make, onSubmit, say } from "./dom.js";
import { chosenPapers, entries } from "./papers.js";
import { moment, span, t } from "./texts.js";

function time(found) {
  if (found.late_s !== null) return make("span badge bad", t("requests.late", { span: span(found.late_s) }));
  if (found.left_s === null) return null;
  return make(`span badge ${found.left_s < 3600 ? "warn" : "ok"}`, t("requests.left", { span: span(found.left_s) }));
}

const card = (found) => make("li panel stack", make("h2", make("a", { href: `/requests/${encodeURIComponent(found.id)}` }, found.event)),
  make("dl facts", fact("requests.unit", found.unit || found.applicant), fact("requests.starts", moment(found.starts_at)),
    fact("requests.holder", found.holder), fact("requests.due", moment(found.due_at))),
  make("p", time(found)));

ask("GET", "/requests").then(({ requests: found }) => {
  say(el("nothing"), found.length ? "" : t("requests.none"));
  el("requests").replaceChildren(...found.map(card));
}, complain);

onSubmit(el("enter"), (button) => doing(button, async () => {
  const papers = await chosenPapers(el("new-papers"));
  const { id } = await ask("POST", "/requests", { ...entries(el("enter")), papers }, once());
  location.href = `/requests/${encodeURIComponent(id)}`;
}));
