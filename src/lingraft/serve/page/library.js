// The languages view: what is installed, in which versions, how large, and how good.

import { h, icon, plural, size } from "./dom.js";
import { heatmap } from "./heatmap.js";
import { english, native, same, tag } from "./names.js";

/** Fills a place with what /api/library said. */
export function show(place, library, { offered, open }) {
  const { base, languages, scores } = library;
  const nameOf = (code) =>
    [...languages, ...offered].find((language) => same(language.code, code))?.name ?? english(code);
  place.replaceChildren(
    facts(base, languages, offered),
    ...Object.entries(library.broken ?? {}).map(([code, why]) => broken(nameOf(code), why)),
    h("h2", {}, "Installed"),
    languages.length
      ? table(languages, open)
      : h(
          "p",
          { class: "card pad soft" },
          "No language has adapters yet. ",
          h("code", {}, "lingraft add"),
          " trains them.",
        ),
    h("h2", {}, "Quality"),
    scores?.results?.length && scores?.languages?.length
      ? quality(scores, nameOf, open)
      : h(
          "p",
          { class: "card pad soft" },
          "This library has not been measured yet. ",
          h("code", {}, "lingraft measure"),
          " fills this matrix.",
        ),
  );
}

function facts(base, languages, offered) {
  const adapters = languages.reduce((sum, language) => sum + Object.keys(language.versions ?? {}).length, 0);
  const bytes = languages.reduce((sum, language) => sum + (language.bytes ?? 0), 0);
  const directions = offered.reduce(
    (sum, { code, targets }) => sum + (targets ?? []).filter((other) => other !== code).length,
    0,
  );
  const items = [
    [String(offered.length), offered.length === 1 ? "language" : "languages"],
    [directions.toLocaleString("en"), directions === 1 ? "direction" : "directions"],
    [String(adapters), adapters === 1 ? "adapter" : "adapters"],
    [size(bytes), "of adapters"],
  ];
  const name = typeof base === "string" ? base : (base?.name ?? base?.id ?? "");
  return h(
    "div",
    {},
    h(
      "ul",
      { class: "figures" },
      items.map(([number, label]) => h("li", { class: "card" }, h("b", {}, number), label)),
    ),
    name && h("p", { class: "soft" }, "On one frozen base model: ", h("code", {}, name)),
  );
}

function table(languages, open) {
  const heads = ["Language", "Code", "Reading", "Writing", "Earlier versions", "Size"];
  const sorted = [...languages].sort((a, b) => a.name.localeCompare(b.name));
  const rows = sorted.map((language) => {
    const own = language.native ?? native(language.code, language.name);
    return h(
      "tr",
      {},
      h(
        "th",
        { scope: "row" },
        h(
          "a",
          {
            href: `#/translate?${new URLSearchParams({ to: language.code })}`,
            onclick: (event) => go(event, language.code),
          },
          language.name,
        ),
        own && own !== language.name && h("span", { class: "native", lang: tag(language.code), dir: "auto" }, own),
      ),
      h("td", {}, h("code", {}, language.code)),
      h("td", {}, version(language.versions?.source)),
      h("td", {}, version(language.versions?.target)),
      h("td", { class: "number" }, Object.keys(language.versions ?? {}).length ? (language.history ?? "") : "–"),
      h("td", { class: "number" }, language.bytes ? size(language.bytes) : "–"),
    );
  });

  function go(event, code) {
    event.preventDefault();
    open(null, code);
  }

  return h(
    "div",
    { class: "card scroll", tabindex: "0", role: "region", "aria-label": "Installed languages" },
    h(
      "table",
      { class: "plain" },
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          heads.map((title, index) => h("th", { scope: "col", class: index > 3 ? "number" : null }, title)),
        ),
      ),
      h("tbody", {}, rows),
    ),
  );
}

const broken = (name, why) =>
  h(
    "div",
    { class: "notice" },
    icon("warning"),
    h("div", {}, h("strong", {}, `${name} is damaged`), h("p", {}, String(why))),
  );

const version = (hash) =>
  hash ? h("code", { title: hash }, String(hash).slice(0, 8)) : h("span", { class: "soft" }, "base");

function quality(scores, nameOf, open) {
  const lines = scores.results[0].lines;
  return h(
    "div",
    { class: "card pad" },
    heatmap(scores, nameOf, open),
    h(
      "p",
      { class: "soft fine" },
      `chrF++ from 0 to 100, higher is better`,
      lines ? `; ${plural(lines, "sentence")} per direction` : "",
      scores.testset ? ` of ${scores.testset}` : "",
      ".",
    ),
  );
}
