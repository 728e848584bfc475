// Ties the views together: which one is seen, and what the server said about itself.

import { request } from "./api.js";
import { Admin } from "./admin.js";
import { $, h, memory } from "./dom.js";
import * as library from "./library.js";
import { Notice } from "./notice.js";
import * as translation from "./translate.js";

const VIEWS = ["translate", "languages", "admin"];
const TITLES = { translate: "Lingraft", languages: "Languages – Lingraft", admin: "Admin – Lingraft" };

let offered = null; // the languages that can be asked for; null until the server has said
let known = null; // what /api/library said last
let seen = ""; // the same as text

async function load() {
  try {
    const [languages, settings] = await Promise.all([
      request("languages"),
      request("frontend/settings").catch(() => null),
    ]);
    offered = languages
      .filter((language) => typeof language?.code === "string")
      .map((language) => ({ ...language, name: String(language.name ?? language.code) }));
    starting.clear(true);
    translation.offer(offered, settings);
    translation.summarise(offered);
  } catch (error) {
    starting.show(error);
    return;
  }
  await refresh().catch((error) => $("languages").hidden || starting.show(error)); // translating works without it
}

/** Asks again what is installed; a large matrix is not drawn anew if nothing has changed. */
async function refresh() {
  const said = await request("api/library");
  const text = JSON.stringify(said);
  if (text === seen) return;
  seen = text;
  known = {
    ...said,
    languages: (said.languages ?? []).map((language) => ({
      ...language,
      name: String(language.name ?? language.code),
    })),
  };
  translation.measured(known.scores);
  if (!$("languages").hidden) showLibrary();
}

function showLibrary() {
  if (known && offered) library.show($("library"), known, { offered, open: openDirection });
  else $("library").replaceChildren(h("p", { class: "soft" }, "Loading …"));
}

function openDirection(source, target) {
  location.hash = "#/translate";
  translation.choose({ ...(source && { source }), target });
  $("text").focus();
}

function route() {
  const wanted = location.hash.replace(/^#\//, "").split("?")[0];
  const view = VIEWS.includes(wanted) ? wanted : "translate";
  for (const name of VIEWS) {
    $(name).hidden = name !== view;
    const link = document.querySelector(`nav a[href="#/${name}"]`);
    if (name === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = TITLES[view];
  if (view === "languages") {
    showLibrary();
    if (offered) refresh().catch((error) => starting.show(error)); // else it comes with the languages
  }
  if (view === "translate" && offered) translation.follow();
  if (view === "admin") admin.show();
  else admin.hide();
}

function theme() {
  const root = document.documentElement;
  const show = () => $("theme").setAttribute("aria-pressed", String(root.dataset.theme === "dark"));
  $("theme").addEventListener("click", () => {
    root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
    memory.set("theme", root.dataset.theme);
    show();
  });
  show();
}

const starting = new Notice($("starting"), load);
const admin = new Admin($("admin-body"), { current: () => known, changed: load });
translation.start();
theme();
addEventListener("hashchange", route);
route();
load();
