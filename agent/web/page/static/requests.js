// The requests that are open, each with the step whose standard time runs.

import { ask, complain } from "./api.js";
import { el, make, say } from "./dom.js";
import { moment, span, t } from "./texts.js";

const fact = (name, value) => (value ? make("div", {}, make("dt", { textContent: name }), make("dd", { textContent: value })) : null);

function time(found) {
  if (found.late_s !== null) return make("span", { className: "badge bad", textContent: t("requests.late", { span: span(found.late_s) }) });
  if (found.left_s === null) return null;
  return make("span", { className: `badge ${found.left_s < 3600 ? "warn" : "ok"}`, textContent: t("requests.left", { span: span(found.left_s) }) });
}

const card = (found) => make("li", { className: "panel stack" },
  make("h2", {}, make("a", { href: `/requests/${encodeURIComponent(found.id)}`, textContent: found.event })),
  make("dl", { className: "facts" }, fact(t("requests.unit"), found.unit || found.applicant), fact(t("requests.starts"), moment(found.starts_at)),
    fact(t("requests.holder"), found.holder), fact(t("requests.due"), moment(found.due_at))),
  make("p", {}, time(found)));

ask("GET", "/requests").then(({ requests: found }) => {
  say(el("nothing"), found.length ? "" : t("requests.none"));
  el("requests").replaceChildren(...found.map(card));
}, complain);
