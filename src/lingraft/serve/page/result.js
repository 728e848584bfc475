// Shows a translation and how it came about.

import { $, h, icon, toast } from "./dom.js";
import { written } from "./names.js";

const VIAS = new Map(
  Object.entries({
    direct: ["Direct", "The adapters of both languages were used together, in one step."],
    pivot: ["Via English", "Translated into English first, and from English in a second step."],
    base: ["Base model", "No adapter was used: this is the base model’s own translation."],
    none: ["Unchanged", "Nothing was translated: the text is in this language already, or has no words."],
  }),
);

/** Fills the result side; `answer` null empties it. */
export function show(answer, target, nameOf) {
  const output = $("output");
  const text = answer?.translatedText ?? "";
  const { lang, dir } = written(target);
  output.textContent = text;
  output.dir = text ? dir : "auto";
  if (lang) output.lang = lang;
  $("copy").hidden = $("more").hidden = !text;
  $("alternatives").replaceChildren();
  badges(answer?.lingraft);
  versions(answer?.lingraft, nameOf);
}

/** Lists other translations; a click takes one as the translation. */
export function alternatives(texts, target) {
  const { lang, dir } = written(target);
  const buttons = texts.map((text) =>
    h("li", {}, h("button", { type: "button", class: "other", lang, dir, onclick: () => take(text) }, text)),
  );
  const list = buttons.length ? h("ul", {}, buttons) : h("p", { class: "soft" }, "There is no other translation.");
  $("alternatives").replaceChildren(h("h2", {}, "Alternatives"), list);

  function take(text) {
    $("output").textContent = text;
  }
}

export function score(value) {
  if (value == null) return;
  const title = "Measured on this direction’s test set, from 0 to 100";
  $("badges").append(h("span", { class: "badge", title }, `chrF++ ${value.toFixed(1)}`));
}

export async function copy() {
  const text = $("output").textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    if (!copyBySelection()) {
      toast("The browser does not allow copying.");
      return;
    }
  }
  const [mark, label] = [icon("check"), h("span", {}, "Copied")];
  $("copy").replaceChildren(mark, label);
  setTimeout(() => $("copy").replaceChildren(icon("copy"), h("span", {}, "Copy")), 2000);
}

/** Without HTTPS there is no clipboard interface; the old way still works. */
function copyBySelection() {
  const selection = getSelection();
  selection.selectAllChildren($("output"));
  const copied = document.execCommand("copy");
  selection.removeAllRanges();
  return copied;
}

function badges(lingraft) {
  const via = VIAS.get(lingraft?.via);
  $("badges").replaceChildren(
    ...(via ? [h("span", { class: `badge via ${lingraft.via}`, title: via[1] }, via[0])] : []),
  );
}

function versions(lingraft, nameOf) {
  const via = VIAS.get(lingraft?.via);
  const entries = Object.entries(lingraft?.versions ?? {});
  $("how").hidden = !via;
  if (!via) return;
  const rows = entries.map(([adapter, hash]) => {
    const dot = adapter.lastIndexOf(".");
    const role = adapter.slice(dot + 1);
    return h(
      "tr",
      {},
      h("th", { scope: "row" }, nameOf(adapter.slice(0, dot))),
      h("td", {}, role === "source" ? "read" : "written"),
      h("td", {}, h("code", { title: String(hash) }, String(hash).slice(0, 12))),
    );
  });
  const head = h(
    "tr",
    {},
    ["Adapter", "Language is", "Version"].map((title) => h("th", { scope: "col" }, title)),
  );
  $("versions").replaceChildren(
    h("p", {}, via[1]),
    rows.length ? h("table", {}, h("thead", {}, head), h("tbody", {}, rows)) : "",
  );
}
