// The first run: steps that may be left out and come back to.

import { ask, complain, doing, hold, Refused } from "./api.js";
import { el, keep, make, onSubmit, press, say, sure } from "./dom.js";
import { byGravity, rowOf, verdictOf } from "./findings.js";
import { live } from "./live.js";
import { inWords, t } from "./texts.js";

const language = document.documentElement.lang;
const steps = [...document.querySelectorAll("[data-step]")];
let set = { locked: "file", destinations: [] }; // as GET /settings has it
let step = null;

/** Show the step that the address names; the focus goes to its heading. */
function show(moves = true) {
  const before = step;
  step = steps.find(({ dataset }) => `#${dataset.step}` === location.hash) ?? before ?? steps[0];
  for (const one of steps) one.hidden = one !== step;
  [...el("steps").children].forEach(({ firstElementChild: link }, place) => {
    link.ariaCurrent = steps[place] === step ? "step" : null;
  });
  if (moves && step !== before) step.querySelector("h2").focus();
  if (step.dataset.step === "roles") import("./devices.js");
}
addEventListener("hashchange", show);

const next = () => {
  location.hash = steps[steps.indexOf(step) + 1].dataset.step;
};

function take(found) {
  set = found;
  const { locked, archive, destinations } = set;
  el("locked").hidden = !locked;
  if (locked) say(el("locked-text"), t(`setup.locked.${locked}`));
  for (const fields of document.querySelectorAll("fieldset")) fields.disabled = locked || (archive.fixed && fields.contains(el("archive")));
  el("room").defaultValue = set.room; // what somebody has typed meanwhile stays
  el("archive").defaultValue = archive.path;
  const { reason, advice } = inWords(archive.state);
  el("folder").className = `alarm ${archive.state.verdict === "failure" ? "bad" : "ok"}`;
  say(el("folder-text"), `${reason}. ${advice}`);
  keep(el("destinations"), destinations, ({ name, key }) => name + key,
    ({ name, key }) => make("li", make("div row", make("span", `${name}: ${t(`setup.key.${key.replace(" ", "-")}`)}`), ...(locked ? [] : [
      press(t("setup.destination.edit"), () => edit(name), { "aria-label": t("setup.destination.edit.of", { name }) }),
      press(t("setup.destination.remove"), (button) => remove(button, name), { "aria-label": t("setup.destination.remove.of", { name }) }),
    ]))));
}

/** Fill the form with a destination; its key stays unless another one is given. */
function edit(name) {
  const { url, test } = set.destinations.find((one) => one.name === name);
  el("name").value = name;
  el("url").value = url;
  el("test").checked = test;
  el("url").focus();
}

const remove = (button, name) => sure(el("sure"), t("setup.destination.remove.body", { name }), () =>
  doing(button, async () => take(await ask("DELETE", `/settings/destinations/${encodeURIComponent(name)}`))));

/** Offer the folders in `path`; the one that is opened becomes the archive's. */
async function browse(path) {
  const found = await ask("GET", `/folders?${new URLSearchParams({ path })}`);
  if (path) el("archive").value = found.path;
  const open = (text, to) => make("li", press(text, (button) => doing(button, () => browse(to))));
  const within = found.path.replace(/\/$/, "");
  el("folders").replaceChildren(...(found.parent ? [open(t("setup.archive.up"), found.parent)] : []),
    ...found.folders.map((name) => open(name, `${within}/${name}`)));
  el("folders").hidden = false;
  el("folders").querySelector("button")?.focus();
}
el("browse").addEventListener("click", () => doing(el("browse"), () => browse(el("archive").value)));

const change = async (name, value) => take(await ask("PATCH", "/settings", { [name]: value }));

const SAVES = {
  async language() {
    const { value } = document.querySelector("[name=language]:checked");
    if (!set.locked) await change("language", value);
    if (value === language) next();
    else location.assign(`?lang=${value}#room`);
  },
  async room() {
    await change("room", el("room").value);
    next();
  },
  async archive() {
    if (el("archive").value !== set.archive.path) await change("archive", el("archive").value);
    next();
  },
  async destination() {
    const [name, url, key] = ["name", "url", "key"].map((id) => el(id).value.trim());
    if (name + url + key) {
      const secret = key && { [url.startsWith("srt:") ? "passphrase" : "key"]: key };
      take(await ask("PUT", `/settings/destinations/${encodeURIComponent(name || "-")}`, { url, test: el("test").checked, ...secret }));
      step.reset();
    }
    next();
  },
  rehearsal() {
    const streams = set.destinations.filter(({ test }) => test).map(({ name }) => name);
    return ask("POST", "/rehearsals", { practice: el("practice").checked, streams });
  },
};
for (const form of steps) {
  onSubmit(form, () =>
    doing(form.querySelector(".primary"), form.querySelector("fieldset:disabled") ? next : SAVES[form.dataset.step]));
}

function showRehearsal({ running, last, error }) {
  hold(el("rehearse"), running);
  say(el("rehearsing"), running ? t("check.running") : "");
  const found = running ? null : last;
  el("verdict").hidden = !found;
  const [look, words] = found ? verdictOf(found) : [];
  el("verdict").className = `alarm ${look}`;
  say(el("verdict-text"), found ? t(words) : "");
  el("found").replaceChildren(...byGravity(found?.checks ?? []).map((one) => rowOf(one)));
  if (error && !running) complain(new Refused(error));
}
live.addEventListener("rehearsal-run", ({ detail }) => showRehearsal(detail));

document.cookie = "liput_setup=seen; Path=/; Max-Age=31536000; SameSite=Strict"; // nobody is led here twice
show(location.hash !== "");
ask("GET", "/settings").then(take, complain);
ask("GET", "/rehearsals").then(showRehearsal, complain);
