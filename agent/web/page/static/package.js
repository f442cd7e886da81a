// One recording: played with its chapters, downloaded, verified.

import { ask, complain, doing, hold, Refused } from "./api.js";
import { nameTab } from "./bar.js";
import { el, forIt, make, onSubmit, press, say } from "./dom.js";
import { live } from "./live.js";
import { clock, inWords, moment, size, t, titleOf } from "./texts.js";

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
  say(el("title"), titleOf(found) || found.id);
  nameTab(`${found.title || found.id} – Liput`);
  el("state").className = `badge ${found.lacks.length && found.state === "sealed" ? "warn" : BADGES[found.state]}`;
  say(el("state"), t(`archive.state.${found.state}`));
  facts(found);
  chapters(found);
  el("marks").before = (found.recording?.marks ?? []).map(({ media_s: seconds, text }) => [seconds, text]);
  el("marks").replaceChildren(...el("marks").before.map(markRow));
  el("marks-box").hidden = el("export-box").hidden = el("edit-box").hidden = found.state !== "sealed" || !found.recording;
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

/** Correct the package, and offer to set `former` again. */
const correct = (button, asked, former) => doing(button, async () => {
  show(await ask("PATCH", base, asked));
  const undo = former && press(t("package.undo"), () => correct(undo, former));
  el("edited").replaceChildren(make("p", t(former ? "package.edited" : "package.undone")), undo ?? "");
});

onSubmit(el("edit"), (button) => {
  const changed = [...el("edit").querySelectorAll("[name]")].filter((field) => field.value !== field.before);
  const valuesBy = (valueOf) => Object.fromEntries(changed.map((field) => [field.name, valueOf(field)]));
  correct(button, { fields: valuesBy(({ value }) => value.trim()), reason: el("edit-reason").value.trim() },
    { fields: valuesBy(({ before }) => before) });
});

/** Make the row of a mark; it is removed when the form is saved without it. */
function markRow([seconds, text]) {
  const time = clock(seconds);
  const field = make("input", { type: "text", value: text, maxLength: 500, required: true, "aria-label": t("package.marks.text", { time }) });
  const remove = press(t("package.marks.remove"), () => row.remove(), { "aria-label": t("package.marks.remove.of", { time }) });
  const row = make("li", make("div row", make("span number", time), field, remove));
  row.mark = () => [seconds, field.value.trim()];
  return row;
}

el("mark-add").addEventListener("click", () => {
  const row = markRow([Math.round(el("video").currentTime * 1000) / 1000, ""]);
  el("marks").append(row);
  row.querySelector("input").focus();
});
onSubmit(el("marks-edit"), (button) => correct(button, { marks: [...el("marks").children].map((row) => row.mark()) }, { marks: el("marks").before }));

async function findDrives() {
  const drives = await ask("GET", "/drives");
  el("drive").replaceChildren(...drives.map(({ path, name, free_bytes: free }) =>
    new Option(t("package.export.option", { name, free: size(free) }), path)));
  el("no-drive").hidden = drives.length > 0;
  el("drive-box").hidden = !drives.length;
  hold(el("copy"), !drives.length);
}
el("export-box").addEventListener("toggle", () => el("export-box").open && findDrives().catch(complain));
el("look").addEventListener("click", () => doing(el("look"), findDrives));

const copy = (although) => doing(el("copy"), () =>
  ask("POST", `${base}/export`, { drive: el("drive").value, whole: el("whole").checked, although_refused: although }));
onSubmit(el("export"), () => copy(false));

function showExport({ running, last, error }) {
  hold(el("copy"), running);
  const isDone = !running && last?.id === id;
  say(el("exported"), running ? t("package.export.running") : isDone ? t("package.export.done", { name: last.file.split("/").pop() }) : "");
  if (error && !running) complain(new Refused(error), ...(error.code === "speakers" ? [press(t("package.export.although"), () => copy(true))] : []));
}
live.addEventListener("export-run", ({ detail }) => showExport(detail));
ask("GET", "/exports").then((run) => run.running && showExport(run), complain);

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
