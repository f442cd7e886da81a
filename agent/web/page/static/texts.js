// Sentences, numbers and times in the language of the page.

export const language = document.documentElement.lang;
export const locale = language === "id" ? "id-ID" : "en-GB";
const texts = await (await fetch(`/texts/${language}.json`)).json();

export const has = (key) => key in texts;

/** Return the sentence `key`, its places in braces filled with facts. */
export function t(key, facts = {}) {
  const text = texts[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in facts ? facts[name] : whole));
}

/** Return the title of a session or package; one of practice says so. */
export const titleOf = ({ title, practice }) => (practice ? t("practice.of", { title }) : title);

/** Choose what the daemon says in both languages. */
export const inWords = (said) => said[language] ?? said.en ?? said;

const formats = new Map();
export function number(value, digits = 0) {
  if (!formats.has(digits)) {
    formats.set(digits, new Intl.NumberFormat(locale, { minimumFractionDigits: digits, maximumFractionDigits: digits }));
  }
  return formats.get(digits).format(value);
}

/** 1:02:03 */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (part) => String(part).padStart(2, "0");
  return `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
}

/** How long, as people say it: "2 jam 5 menit". */
export function span(seconds) {
  if (seconds >= 10 * 86400) return t("unit.days", { days: 10 });
  if (seconds >= 3600) {
    return t("unit.hours", { hours: number(Math.floor(seconds / 3600)), minutes: Math.floor(seconds / 60) % 60 });
  }
  if (seconds >= 120) return t("unit.minutes", { minutes: Math.floor(seconds / 60) });
  return t("unit.seconds", { seconds: Math.max(0, Math.round(seconds)) });
}

const UNITS = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];
export function size(bytes) {
  const power = bytes < 1000 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log10(bytes) / 3));
  return new Intl.NumberFormat(locale, { style: "unit", unit: UNITS[power], maximumSignificantDigits: 3 })
    .format(bytes / 1000 ** power);
}

const day = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });
const minute = new Intl.DateTimeFormat(locale, { timeStyle: "short" });
const second = new Intl.DateTimeFormat(locale, { dateStyle: "short", timeStyle: "medium" });
export const moment = (text) => (text ? day.format(new Date(text)) : "");
export const hour = (text) => minute.format(new Date(text));
export const exactMoment = (text) => (text ? second.format(new Date(text)) : "");
