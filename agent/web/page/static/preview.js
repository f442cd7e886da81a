// Pictures of the program and of each source, as they come; none while nobody sees the page.

import { el, keep, make, say } from "./dom.js";
import { live } from "./live.js";
import { t } from "./texts.js";
import { subjectText } from "./words.js";

let wanted = [];
let asked = "";
const MOST = 15; // beside the program
const GIVES_NONE = ["lost", "silent", "frozen", "busy"];

async function draw(canvas, jpeg) {
  const picture = await createImageBitmap(jpeg).catch(() => null);
  if (!picture) return;
  if (canvas.width !== picture.width || canvas.height !== picture.height) {
    [canvas.width, canvas.height] = [picture.width, picture.height];
  }
  canvas.getContext("2d").drawImage(picture, 0, 0);
  picture.close();
  canvas.nextElementSibling?.remove(); // the words that stood for the picture
}

live.addEventListener("picture", ({ detail }) => {
  const canvas = wanted[detail.index]?.canvas();
  if (canvas) draw(canvas, detail.jpeg);
});

/** Show the pictures of `session`, or none; the room's while there `isIdle`. */
export function showPictures(session, isIdle) {
  const sources = session?.status ? pictureSources(session.status) : [];
  el("sources-box").hidden = sources.length < 2;
  const shown = sources.length < 2 ? [] : sources;
  keep(el("sources"), shown, ({ name }) => `${session.id} ${name}`,
    () => make("figure", {}, make("div", { className: "picture" }, make("canvas", { role: "img" })), make("figcaption", {})),
    (figure, { name, state }) => {
      const label = `${subjectText(name, session)}${state === "ok" ? "" : `: ${t(`health.${state}`)}`}`;
      figure.classList.toggle("gone", GIVES_NONE.includes(state)); // its last picture is still there
      figure.querySelector("canvas").setAttribute("aria-label", t("session.source", { name: label }));
      say(figure.querySelector("figcaption"), label);
    });
  watch(session, !session?.status ? [] : [
    { source: "program", fps: 5, width: 640, canvas: () => el("program") },
    ...shown.slice(0, MOST).map(({ name }, place) => ({
      source: name, fps: 1, width: 240, canvas: () => el("sources").children[place]?.querySelector("canvas"),
    })),
  ], true, isIdle);
  if (!session) forget("session.preview.none");
  else if (!session.status) forget("session.preview.wait");
}

/** Ask for pictures of `session`: each has a `source`, `fps`, `width`, and a `canvas()` that it is drawn on. */
export function watch(session, pictures, levels = true, room = false) {
  wanted = document.hidden ? [] : pictures;
  const wish = { type: "watch", session: session?.id ?? null, levels: levels && !document.hidden && Boolean(session),
    room: room && !document.hidden,
    previews: wanted.map(({ source, fps, width }) => ({ source, fps, width })) };
  const text = JSON.stringify(wish);
  if (text === asked) return;
  asked = text;
  live.watch(wish);
}

/** Return what gives pictures: its `name`, and the `state` of its health. */
function pictureSources(status) {
  return status.sources.map(({ role, name, health }) => ({ name: role ?? name, state: health.state }))
    .filter(({ name }) => !status.sounds.some((sound) => sound.name === name));
}

function forget(key) {
  const canvas = el("program");
  canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
  if (!canvas.nextElementSibling) canvas.after(make("p", {}));
  say(canvas.nextElementSibling, t(key));
}
