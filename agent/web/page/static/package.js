// One recording: played with its chapters, downloaded, verified.

import { ask, complain, doing } from "./api.js";
import { nameTab } from "./bar.js";
import { el, forIt, make, onSubmit, say } from "./dom.js";
import { clock, inWords, moment, size, t } from "./texts.js";

const BADGES = { sealed: "ok", unfinished: "warn", damaged: "bad", elsewhere: "" };
const id = el("package").dataset.id;
const base = `/archive/${encodeURIComponent(id)}`;
const fileAddress = (path) => `/api/v1${base}/files/${path.split("/").map(encodeURIComponent).join("/")}`;

function facts(found) {
  const { recording } = found;
  const request = recording?.request;
  const all = [["archive.when", moment(found.started_at)], ["archive.length", found.duration_s && clock(found.duration_s)],
    ["archive.size", size(found.bytes)], ["package.room", recording?.room], ["package.event", request?.event],
    ["start.consent", recording?.consent && [t(`start.consent.${recording.consent.state}`), recording.consent.note].filter(Boolean).join(" · ")],
    ["package.applicant", request?.applicant], ["package.letter", request?.letter_number]];
  el("facts").replaceChildren(...all.filter(([, value]) => value).map(([key, value]) =>
    make("div", {}, make("dt", { textContent: t(key) }), make("dd", { textContent: value }))));
}

function chapters(found) {
  const all = found.recording?.chapters ?? [];
  el("no-chapters").hidden = all.length > 0;
  el("chapters").replaceChildren(...all.map((chapter) => {
    const button = make("button", { type: "button" }, make("span", { className: "number", textContent: clock(chapter.start_s) }), chapter.title);
    button.addEventListener("click", () => {
      el("video").currentTime = chapter.start_s;
      el("video").play();
    });
    return make("li", {}, button);
  }));
}

function show(found) {
  say(el("title"), found.title || found.id);
  nameTab(`${found.title || found.id} – Liput`);
  el("state").className = `badge ${found.lacks.length && found.state === "sealed" ? "warn" : BADGES[found.state]}`;
  say(el("state"), t(`archive.state.${found.state}`));
  facts(found);
  chapters(found);
  el("edit-box").hidden = found.state !== "sealed" || !found.recording;
  for (const field of el("edit").querySelectorAll("[name]")) {
    field.value = field.before = field.name.split(".").reduce((part, word) => part?.[word], found.recording) ?? "";
  }
  el("degraded-box").hidden = !found.lacks.length;
  el("degraded").replaceChildren(...found.lacks.map((lack) => make("li", { textContent: inWords(lack) })));
  const media = found.recording?.media?.[0]?.file;
  if (found.state !== "sealed" || !media) return;
  if (el("video").hidden) el("video").src = fileAddress(media);
  el("video").setAttribute("aria-label", t("package.video", { title: found.title }));
  el("video").hidden = el("download").hidden = false;
  el("download").href = `${fileAddress(media)}?save=true`;
  el("report").href = fileAddress("report.pdf");
  showReport();
}

/** Offer the report, where there is one: the package lists it. */
async function showReport() {
  const listed = await fetch(fileAddress("tagmanifest-sha256.txt")).then((answer) => (answer.ok ? answer.text() : ""), () => "");
  el("report").hidden = !/ report\.pdf$/m.test(listed);
}

onSubmit(el("edit"), (button) => doing(button, async () => {
  const changed = [...el("edit").querySelectorAll("[name]")].filter((field) => field.value !== field.before);
  const fields = Object.fromEntries(changed.map(({ name, value }) => [name, value.trim()]));
  show(await ask("PATCH", base, { fields, reason: el("edit-reason").value.trim() }));
  say(el("edited"), t("package.edited"));
}));

el("verify").addEventListener("click", () => doing(el("verify"), async () => {
  say(el("verified"), t("package.verifying"));
  const result = await ask("POST", `${base}/verify`, {}).catch((error) => {
    say(el("verified"), "");
    throw error;
  });
  el("verified").replaceChildren(make("div", { className: `alarm ${result.ok ? "ok" : "bad"}` }, make("span", { className: "sign", "aria-hidden": "true" }),
    make("div", {}, make("p", { textContent: t(result.ok ? "package.whole" : "package.broken") }),
      forIt(...result.problems.map(({ file, problem }) => `${file}: ${problem}`)))));
}));

ask("GET", base).then(show, complain);
