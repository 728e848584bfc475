// The translation view: what is typed, in which direction, and when it is sent.

import { translate } from "./api.js";
import { $, memory, plural } from "./dom.js";
import { same, written } from "./names.js";
import { Notice } from "./notice.js";
import { Picker } from "./picker.js";
import * as result from "./result.js";

const PAUSE = 350; // ms without a key before the text is sent
const ALTERNATIVES = 3;

const state = { source: "auto", target: null, detected: null, limit: null, scores: null, languages: [] };
let timer = null;
let running = null; // the AbortController of the request under way
let source, target, notice;

export function start() {
  source = new Picker($("source-picker"), "Translate from", {
    detect: true,
    onpick: (code) => choose({ source: code }),
  });
  target = new Picker($("target-picker"), "Translate into", { onpick: (code) => choose({ target: code }) });
  notice = new Notice($("notice"), send);
  $("text").addEventListener("input", typed);
  $("text").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) send();
  });
  $("swap").addEventListener("click", swap);
  $("clear").addEventListener("click", clear);
  $("copy").addEventListener("click", result.copy);
  $("more").addEventListener("click", more);
  addEventListener("resize", grow);
}

/** Takes the languages that the server offers; may come again after a change. */
export function offer(languages, settings) {
  state.languages = source.languages = target.languages = languages;
  state.limit = Number.isInteger(settings?.charLimit) && settings.charLimit > 0 ? settings.charLimit : null;
  const wanted = [...fromAddress(), memory.get("pair") ?? {}, defaults(settings)];
  const known = (code) => languages.find((language) => same(language.code, code))?.code;
  const first = (side, special) =>
    wanted.map((pair) => (pair[side] === special ? special : known(pair[side]))).find(Boolean);
  const read = first("source", "auto") ?? "auto";
  const write = first("target") ?? languages.find((language) => language.code !== read)?.code ?? null;
  choose({ source: read, target: write }, languages.length > 0);
  count();
}

/** Takes the last measurement, so that a direction's score stands beside its translations. */
export function measured(scores) {
  state.scores = scores;
}

export function choose(change, remembered = true) {
  for (const side of Object.keys(change)) change[side] = offeredCode(change[side]);
  Object.assign(state, change, "source" in change ? { detected: null } : {});
  if (state.source !== "auto" && state.source === state.target) {
    const other = state.languages.find((language) => language.code !== state.source)?.code ?? null;
    if ("source" in change) state.target = other;
    else state.source = "auto";
  }
  source.show(state.source);
  target.show(state.target ?? "…");
  target.allowed = state.languages.find((language) => language.code === state.source)?.targets ?? null;
  const { lang, dir } = state.source === "auto" ? { lang: null, dir: "auto" } : written(state.source);
  $("text").dir = dir;
  if (lang) $("text").lang = lang;
  else $("text").removeAttribute("lang");
  $("detected").textContent = "";
  if (remembered && state.target) {
    memory.set("pair", { source: state.source, target: state.target });
    if (location.hash.startsWith("#/translate")) history.replaceState(null, "", address());
  }
  send();
}

/** Follows a link to a direction. */
export function follow() {
  const [pair] = fromAddress();
  if (pair) choose({ ...(pair.source && { source: pair.source }), ...(pair.target && { target: pair.target }) });
}

const address = () => `#/translate?${new URLSearchParams({ from: state.source, to: state.target })}`;

function fromAddress() {
  const query = new URLSearchParams(location.hash.split("?")[1] ?? "");
  return query.has("from") || query.has("to") ? [{ source: query.get("from"), target: query.get("to") }] : [];
}

const defaults = (settings) => ({ source: settings?.language?.source?.code, target: settings?.language?.target?.code });

function typed() {
  clearTimeout(timer);
  count();
  grow();
  if (!$("text").value.trim()) send();
  else timer = setTimeout(send, PAUSE);
}

function count() {
  const length = [...$("text").value].length; // characters, not UTF-16 units
  const over = state.limit !== null && length > state.limit;
  $("count").textContent =
    state.limit === null
      ? length.toLocaleString("en")
      : `${length.toLocaleString("en")} / ${state.limit.toLocaleString("en")}`;
  $("count").classList.toggle("over", over);
  $("text").setAttribute("aria-invalid", String(over));
  $("clear").hidden = length === 0;
  return { length, over };
}

function grow() {
  if (!$("text").offsetParent) return; // not seen, so it has no height
  $("text").style.height = "auto";
  $("text").style.height = `${$("text").scrollHeight}px`;
}

/** Sends the text now. A request that is still under way is given up. */
async function send() {
  clearTimeout(timer);
  running?.abort();
  running = null;
  const text = $("text").value;
  const { length, over } = count();
  notice?.clear();
  if (!text.trim() || !state.target || over) {
    busy(false);
    result.show(null, state.target, nameOf);
    if (over) notice.show({ status: 413, message: tooLong(length) });
    return;
  }
  const mine = (running = new AbortController());
  busy(true);
  try {
    const answer = await translate(text, state.source, state.target, { signal: mine.signal });
    if (mine.signal.aborted) return;
    notice.clear(true);
    detected(answer.detectedLanguage);
    result.show(answer, state.target, nameOf);
    already(answer);
    result.score(scoreOf(state.detected ?? state.source, state.target, answer.lingraft?.via));
  } catch (error) {
    if (mine.signal.aborted) return;
    result.show(null, state.target, nameOf);
    notice.show(error);
  }
  running = null;
  busy(false);
}

function tooLong(length) {
  const limit = state.limit.toLocaleString("en");
  return `It has ${plural(length - state.limit, "character")} more than the ${limit} that this server takes at once.`;
}

function busy(on) {
  $("result").classList.toggle("busy", on);
  $("output").setAttribute("aria-busy", String(on));
  $("more").disabled = on;
}

function detected(found) {
  if (state.source !== "auto" || !found) return;
  state.detected = offeredCode(found.language);
  source.show("auto", nameOf(state.detected));
  const sure = Number.isFinite(found.confidence) ? ` with ${Math.round(found.confidence)} % confidence` : "";
  $("detected").textContent = `Detected${sure}`;
}

/** Says why the text came back as it was, where it was found to be in the target's language. */
function already({ detectedLanguage, lingraft }) {
  if (state.source !== "auto" || lingraft?.via !== "none" || !detectedLanguage?.confidence) return;
  if (!same(detectedLanguage.language, state.target)) return;
  $("detected").textContent = `This is ${nameOf(state.target)} already. Choose another language to translate into.`;
}

function scoreOf(from, to, via) {
  return state.scores?.results?.find((row) => row.via === via && same(row.source, from) && same(row.target, to))?.[
    "chrf++"
  ];
}

/** The code under which the server offers a language: other parts of it may write codes in another form. */
const offeredCode = (code) => state.languages.find((language) => same(language.code, code))?.code ?? code;
const nameOf = (code) => state.languages.find((language) => same(language.code, code))?.name ?? code;

function swap() {
  const from = state.source === "auto" ? state.detected : state.source;
  const text = $("output").textContent;
  if (text) $("text").value = text;
  const other = state.languages.find((language) => language.code !== state.target)?.code;
  choose({ source: state.target, target: from ?? other });
  count();
  grow();
}

function clear() {
  $("text").value = "";
  if (state.source === "auto") choose({ source: "auto" });
  typed();
  $("text").focus();
}

async function more() {
  if (running) return;
  const mine = (running = new AbortController());
  busy(true);
  try {
    const answer = await translate($("text").value, state.source, state.target, {
      alternatives: ALTERNATIVES,
      signal: mine.signal,
    });
    if (mine.signal.aborted) return;
    result.alternatives(Array.isArray(answer.alternatives) ? answer.alternatives : [], state.target);
  } catch (error) {
    if (mine.signal.aborted) return;
    notice.show(error);
  }
  running = null;
  busy(false);
}

/** The line below: how many directions there are. */
export function summarise(languages) {
  const directions = languages.reduce(
    (sum, { code, targets }) => sum + (targets ?? []).filter((other) => other !== code).length,
    0,
  );
  $("summary").textContent = `${plural(languages.length, "language")}, ${plural(directions, "direction")}, one model.`;
}
