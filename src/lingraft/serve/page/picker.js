// Chooses a language: a button that opens a panel with a search field and a list (the ARIA combobox pattern).

import { h, icon, memory } from "./dom.js";
import { native, same, tag } from "./names.js";

const RECENT = 4;

const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();

export class Picker {
  /**
   * @param place the element to fill
   * @param label what is chosen, e.g. "Translate from"
   * @param options `detect`: whether "Detect language" is offered; `onpick(code)`
   */
  constructor(place, label, { detect = false, onpick }) {
    Object.assign(this, { label, detect, onpick, languages: [], allowed: null, value: null, shown: [], active: -1 });
    const id = place.id;
    this.memory = `recent.${id}`;
    this.name = h("span", { class: "name" }, "…");
    this.list = h("div", { role: "listbox", id: `${id}-list`, "aria-label": label, class: "options" });
    this.search = h("input", {
      type: "text",
      role: "combobox",
      "aria-expanded": "true",
      "aria-controls": this.list.id,
      "aria-label": `${label}: search`,
      "aria-autocomplete": "list",
      placeholder: "Search languages",
      autocomplete: "off",
      spellcheck: "false",
      oninput: () => this.fill(),
      onkeydown: (event) => this.key(event),
    });
    const close = h(
      "button",
      { type: "button", class: "quiet round", "aria-label": "Close", onclick: () => this.close(true) },
      icon("close"),
    );
    this.panel = h(
      "div",
      { class: "panel", role: "dialog", "aria-label": label, hidden: true },
      h("div", { class: "search" }, icon("search"), this.search, close),
      this.list,
    );
    this.button = h(
      "button",
      {
        type: "button",
        class: "quiet pick",
        "aria-haspopup": "dialog",
        "aria-expanded": "false",
        onclick: () => this.toggle(),
      },
      this.name,
      icon("chevron"),
    );
    this.list.addEventListener("mousedown", (event) => event.preventDefault()); // the search field keeps the focus
    this.list.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]");
      if (option) this.pick(this.shown.find((item) => item.element === option).code);
    });
    place.classList.add("picker");
    place.append(this.button, this.panel);
    place.addEventListener("focusout", (event) => {
      if (event.relatedTarget && !place.contains(event.relatedTarget)) this.close(false);
    });
    document.addEventListener("pointerdown", (event) => {
      if (!place.contains(event.target)) this.close(false);
    });
  }

  /** Shows a choice; with "auto" also which language was detected. */
  show(value, detected = null) {
    this.value = value;
    const name = detected ?? (value === "auto" ? "Detect language" : this.nameOf(value));
    const note = detected && "detected";
    this.name.replaceChildren(name, ...(note ? [h("span", { class: "note" }, ` ${note}`)] : []));
    this.button.setAttribute("aria-label", `${this.label}: ${name} ${note ?? ""}`.trim());
  }

  nameOf(code) {
    return this.languages.find((language) => same(language.code, code))?.name ?? code;
  }

  toggle() {
    if (this.panel.hidden) this.open();
    else this.close(true);
  }

  open() {
    this.search.value = "";
    this.panel.hidden = false;
    this.button.setAttribute("aria-expanded", "true");
    this.fill();
    this.search.focus();
  }

  close(refocus) {
    if (this.panel.hidden) return;
    this.panel.hidden = true;
    this.button.setAttribute("aria-expanded", "false");
    if (refocus) this.button.focus();
  }

  pick(code) {
    this.remember(code);
    this.show(code);
    this.close(true);
    this.onpick(code);
  }

  recent() {
    const codes = memory.get(this.memory);
    return Array.isArray(codes)
      ? codes.filter((code) => this.languages.some((language) => language.code === code))
      : [];
  }

  remember(code) {
    if (code === "auto") return;
    memory.set(this.memory, [code, ...this.recent().filter((other) => other !== code)].slice(0, RECENT));
  }

  fill() {
    const wanted = plain(this.search.value.trim());
    const all = this.languages.filter((language) => this.matches(language, wanted));
    all.sort((a, b) => rank(a, wanted) - rank(b, wanted) || a.name.localeCompare(b.name));
    this.shown = [];
    const recent =
      wanted || this.languages.length <= RECENT
        ? []
        : this.recent().map((code) => this.languages.find((l) => l.code === code));
    const groups = [
      this.detect && !wanted && this.group("", [{ code: "auto", name: "Detect language" }]),
      recent.length > 0 && this.group("Recent", recent),
      all.length > 0 && this.group(wanted ? "" : `All languages (${all.length})`, all),
    ].filter(Boolean);
    if (!groups.length) groups.push(h("p", { class: "none" }, "No such language here."));
    this.list.replaceChildren(...groups);
    const current = this.shown.findIndex((item) => item.code === this.value);
    this.activate(wanted || current < 0 ? 0 : current);
  }

  matches({ code, name }, wanted) {
    return !wanted || [name, native(code, name), code].some((text) => plain(text).includes(wanted));
  }

  group(title, languages) {
    const options = languages.map((language) => this.option(language));
    return h(
      "div",
      { role: "group", "aria-label": title || this.label },
      title && h("div", { class: "title", "aria-hidden": "true" }, title),
      options,
    );
  }

  option({ code, name }) {
    const own = code === "auto" ? "" : native(code, name);
    const off = this.allowed !== null && !this.allowed.some((other) => same(other, code));
    const element = h(
      "div",
      {
        role: "option",
        id: `${this.list.id}-${this.shown.length}`,
        "aria-selected": String(code === this.value),
        class: off ? "off" : null,
      },
      h("span", {}, name),
      own && h("span", { class: "native", lang: tag(code), dir: "auto" }, own),
      code === this.value && icon("check"),
    );
    this.shown.push({ code, element });
    return element;
  }

  activate(index) {
    this.shown[this.active]?.element.classList.remove("active");
    this.active = Math.max(0, Math.min(index, this.shown.length - 1));
    const element = this.shown[this.active]?.element;
    if (!element) {
      this.search.removeAttribute("aria-activedescendant");
      return;
    }
    element.classList.add("active");
    this.search.setAttribute("aria-activedescendant", element.id);
    element.scrollIntoView({ block: "nearest" });
  }

  key(event) {
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 };
    if (event.key in steps) this.activate(this.active + steps[event.key]);
    else if (event.key === "Enter" && this.shown[this.active]) this.pick(this.shown[this.active].code);
    else if (event.key === "Escape") this.close(true);
    else return;
    event.preventDefault();
  }
}

/** Names that begin with what was typed come first. */
function rank({ code, name }, wanted) {
  if (!wanted) return 0;
  return plain(name).startsWith(wanted) || plain(code).startsWith(wanted) ? 0 : 1;
}
