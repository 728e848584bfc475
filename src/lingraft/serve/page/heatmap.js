// The N×N matrix of a measurement as a table that can be walked with the arrow keys.

import { h } from "./dom.js";

// The colours of `lingraft measure`, from low to high.
const SCALE = [
  [245, 240, 225],
  [196, 222, 190],
  [114, 187, 178],
  [45, 131, 160],
  [29, 66, 115],
];
const VIAS = { direct: "Direct", pivot: "Pivot", base: "Base" };
const STEPS = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };

/** Draws a measurement; `open(from, to)` is called for the direction that was chosen. */
export function heatmap(scores, nameOf, open) {
  const vias = Object.keys(VIAS).filter((via) => scores.results.some((row) => row.via === via));
  const values = scores.results.map((row) => row["chrf++"]);
  const low = Math.floor(Math.min(...values) / 10) * 10;
  const high = Math.max(Math.ceil(Math.max(...values) / 10) * 10, low + 10);
  const rows = new Map(scores.results.map((row) => [key(row.source, row.target, row.via), row]));
  const place = h("div", { class: "map-scroll", role: "region", "aria-label": "Matrix of scores" });
  const detail = h("div", { class: "map-detail", "aria-live": "polite" });
  const view = { scores, rows, nameOf, low, high, place, detail, open, vias };
  const buttons = vias.map((via) =>
    h("button", { type: "button", "aria-pressed": "false", onclick: () => pick(via) }, VIAS[via]),
  );

  function pick(via) {
    buttons.forEach((button, index) => button.setAttribute("aria-pressed", String(vias[index] === via)));
    place.replaceChildren(table(view, via));
    describe(view, null);
  }

  pick(vias[0]);
  return h(
    "div",
    { class: "map" },
    h(
      "div",
      { class: "map-head" },
      h("div", { class: "segments", role: "group", "aria-label": "How it was translated" }, buttons),
      legend(low, high),
    ),
    place,
    detail,
  );
}

function table(view, via) {
  const { scores, rows, nameOf, low, high } = view;
  const languages = scores.languages;
  const short = shortCodes(languages);
  const head = h(
    "tr",
    {},
    h("td", { class: "corner" }, "from ↓ into →"),
    languages.map((code) => h("th", { scope: "col", title: nameOf(code) }, h("span", {}, short(code)))),
  );
  const lines = languages.map((from) =>
    h(
      "tr",
      {},
      h("th", { scope: "row", title: nameOf(from) }, short(from)),
      languages.map((to) => cell(rows.get(key(from, to, via)), from, to, low, high)),
    ),
  );
  const dense = languages.length > 36 ? " dots" : languages.length > 12 ? " small" : "";
  const grid = h(
    "table",
    { class: `heat${dense}`, role: "grid", "aria-label": `chrF++, ${VIAS[via]}` },
    h("thead", {}, head),
    h("tbody", {}, lines),
  );
  listen(grid, view);
  grid.querySelector("tbody td[data-to]")?.setAttribute("tabindex", "0");
  return grid;
}

function cell(row, from, to, low, high) {
  if (!row)
    return h("td", { role: "gridcell", class: "empty", "aria-label": from === to ? "same language" : "not measured" });
  const [colour, ink] = shade(row["chrf++"], low, high);
  const element = h("td", { role: "gridcell", tabindex: "-1" }, row["chrf++"].toFixed(0));
  Object.assign(element.dataset, { from, to });
  element.style.backgroundColor = colour;
  element.style.color = ink;
  return element;
}

function listen(grid, view) {
  const find = (event) => event.target.closest("td[data-to]");
  grid.addEventListener("pointerover", (event) => find(event) && describe(view, find(event)));
  grid.addEventListener("focusin", (event) => find(event) && describe(view, find(event)));
  grid.addEventListener("click", (event) => find(event)?.focus());
  grid.addEventListener(
    "dblclick",
    (event) => find(event) && view.open(find(event).dataset.from, find(event).dataset.to),
  );
  grid.addEventListener("keydown", (event) => {
    const at = find(event);
    if (at && event.key === "Enter") view.open(at.dataset.from, at.dataset.to);
    if (!at || !(event.key in STEPS)) return;
    event.preventDefault();
    const next = neighbour(grid, at, STEPS[event.key]);
    if (!next) return;
    at.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
}

/** The next measured cell in a direction; the diagonal is stepped over. */
function neighbour(grid, at, [down, right]) {
  let [y, x] = [at.parentElement.rowIndex + down, at.cellIndex + right];
  for (; grid.rows[y]?.cells[x]; y += down, x += right) {
    if (grid.rows[y].cells[x].dataset.to) return grid.rows[y].cells[x];
  }
  return null;
}

function describe({ rows, nameOf, detail, open, vias }, at) {
  if (!at) {
    detail.replaceChildren(
      h("span", { class: "soft" }, "Point at a cell, or walk with the arrow keys, to see a direction in full."),
    );
    return;
  }
  const { from, to } = at.dataset;
  const facts = vias
    .map((via) => [via, rows.get(key(from, to, via))])
    .filter(([, row]) => row)
    .map(([via, row]) =>
      h(
        "span",
        { class: "fact" },
        h("b", {}, row["chrf++"].toFixed(1)),
        ` ${VIAS[via]}`,
        h("span", { class: "soft" }, ` BLEU ${row.bleu.toFixed(1)}, ${row.off_target.toFixed(1)} % off target`),
      ),
    );
  detail.replaceChildren(
    h("strong", {}, `${nameOf(from)} → ${nameOf(to)}`),
    ...facts,
    h("button", { type: "button", onclick: () => open(from, to) }, "Translate"),
  );
}

function legend(low, high) {
  const bar = h("span", { class: "ramp", "aria-hidden": "true" });
  bar.style.backgroundImage = `linear-gradient(to right, ${SCALE.map((rgb) => `rgb(${rgb})`).join(", ")})`;
  return h("span", { class: "legend" }, h("span", {}, `chrF++ ${low}`), bar, h("span", {}, String(high)));
}

function shade(value, low, high) {
  const place = Math.min(Math.max((value - low) / (high - low), 0), 1) * (SCALE.length - 1);
  const below = Math.min(Math.floor(place), SCALE.length - 2);
  const rgb = SCALE[below].map((part, index) => Math.round(part + (SCALE[below + 1][index] - part) * (place - below)));
  const [red, green, blue] = rgb.map((part) =>
    part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4,
  );
  const light = 0.2126 * red + 0.7152 * green + 0.0722 * blue; // WCAG's relative luminance
  return [`rgb(${rgb})`, (light + 0.05) / 0.05 >= 1.05 / (light + 0.05) ? "#000" : "#fff"];
}

/** Codes without the script where that stays unambiguous. */
function shortCodes(languages) {
  const heads = languages.map((code) => code.split("_")[0]);
  return (code) => (heads.filter((head) => head === code.split("_")[0]).length === 1 ? code.split("_")[0] : code);
}

const key = (...parts) => JSON.stringify(parts);
