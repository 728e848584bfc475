// The admin view: install, update, roll back and remove languages, and watch a training.

import { ApiError, keys, request } from "./api.js";
import { h, icon, plural, toast } from "./dom.js";
import { explain } from "./notice.js";
import { Training } from "./training.js";

const VERBS = {
  update: {
    title: (name) => `Update ${name}?`,
    text: "The server takes the version that the library has on disk now. Requests under way are finished with the old one.",
    act: "Update",
    method: "POST",
    path: "",
    done: (name) => `${name} is up to date.`,
  },
  rollback: {
    title: (name) => `Roll ${name} back?`,
    text: "The version before this one is used again. Requests under way are finished with the present one.",
    act: "Roll back",
    method: "POST",
    path: "/rollback",
    done: (name) => `${name} is back at the version before.`,
  },
  remove: {
    title: (name) => `Remove ${name}?`,
    text: "Nobody can translate from or into it until it is installed again. Requests under way are finished. The library keeps it.",
    act: "Remove",
    method: "DELETE",
    path: "",
    danger: true,
    done: (name) => `${name} is removed.`,
  },
};

export class Admin {
  /** @param current returns what /api/library said last. @param changed is called after each change */
  constructor(place, { current, changed }) {
    Object.assign(this, {
      place,
      current,
      changed,
      training: new Training(
        (code) => current()?.languages.find((language) => language.code === code)?.name,
        () => this.lock(),
      ),
    });
  }

  show() {
    if (keys.admin) this.open();
    else this.lock();
  }

  hide() {
    this.training.stop();
  }

  lock(error = null) {
    keys.admin = "";
    this.training.stop();
    const input = h("input", { type: "password", id: "admin-key", autocomplete: "off", required: true });
    const submit = (event) => {
      event.preventDefault();
      this.unlock(input.value.trim());
    };
    this.place.replaceChildren(
      h(
        "form",
        { class: "card pad unlock", onsubmit: submit },
        h("label", { for: "admin-key" }, "Admin key"),
        h("div", { class: "row" }, input, h("button", { type: "submit", class: "primary" }, "Unlock")),
        error && alertOf(error, { 404: "Admin is off on this server" }),
        h(
          "p",
          { class: "soft fine" },
          "The key stays in this tab’s memory. It is gone when the tab is closed or reloaded.",
        ),
      ),
    );
  }

  async unlock(key) {
    keys.admin = key;
    try {
      await request("admin/training", { admin: true });
      this.open();
    } catch (error) {
      this.lock(error);
    }
  }

  open() {
    this.table = h("div", {});
    this.place.replaceChildren(
      h("h2", {}, "Languages"),
      this.table,
      this.installer(),
      h("h2", {}, "Training"),
      this.training.place,
      h("p", {}, h("button", { type: "button", onclick: () => this.lock() }, "Lock")),
    );
    this.fill();
    this.training.start();
  }

  fill() {
    const languages = [...(this.current()?.languages ?? [])].filter(
      (language) => Object.keys(language.versions ?? {}).length,
    );
    languages.sort((a, b) => a.name.localeCompare(b.name));
    const rows = languages.map((language) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, language.name, h("span", { class: "native" }, language.code)),
        h("td", { class: "number" }, plural(language.history ?? 0, "earlier version")),
        h(
          "td",
          { class: "acts" },
          Object.entries(VERBS).map(([verb, { act, danger }]) =>
            h(
              "button",
              {
                type: "button",
                class: danger ? "danger" : null,
                "aria-label": `${act} ${language.name}`,
                disabled: verb === "rollback" && language.history != null && language.history < 1,
                onclick: () => this.ask(verb, language),
              },
              act,
            ),
          ),
        ),
      ),
    );
    this.table.replaceChildren(
      rows.length
        ? h(
            "div",
            { class: "card scroll", tabindex: "0", role: "region", "aria-label": "Languages to administer" },
            h("table", { class: "plain" }, h("tbody", {}, rows)),
          )
        : h("p", { class: "card pad soft" }, "No language is installed yet."),
    );
    const out = this.current()?.withdrawn ?? [];
    this.out.replaceChildren(
      out.length ? h("p", { class: "soft fine" }, `Removed, and still in the library: ${out.join(", ")}.`) : "",
    );
  }

  installer() {
    const input = h("input", {
      type: "text",
      id: "install-code",
      required: true,
      placeholder: "fur_Latn",
      autocomplete: "off",
      spellcheck: "false",
    });
    const submit = (event) => {
      event.preventDefault();
      const code = input.value.trim();
      this.change("POST", encodeURIComponent(code), `${code} is installed.`).then((done) => done && (input.value = ""));
    };
    this.problem = h("div", {});
    this.out = h("div", {});
    return h(
      "form",
      { class: "card pad install", onsubmit: submit },
      h("label", { for: "install-code" }, "Install a language that the library has on disk"),
      h("div", { class: "row" }, input, h("button", { type: "submit", class: "primary" }, "Install")),
      this.problem,
      this.out,
    );
  }

  ask(verb, { code, name }) {
    const { title, text, act, danger, method, path, done } = VERBS[verb];
    const yes = h("button", { type: "submit", class: danger ? "danger solid" : "primary", value: "yes" }, act);
    const dialog = h(
      "dialog",
      { "aria-labelledby": "ask-title", class: "card" },
      h(
        "form",
        { method: "dialog" },
        h("h2", { id: "ask-title" }, title(name)),
        h("p", {}, text),
        h("div", { class: "row end" }, h("button", { type: "submit", value: "no", autofocus: true }, "Cancel"), yes),
      ),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      if (dialog.returnValue === "yes") this.change(method, `${encodeURIComponent(code)}${path}`, done(name));
    });
    document.body.append(dialog);
    dialog.showModal();
  }

  async change(method, path, done) {
    this.problem.replaceChildren();
    try {
      const told = await request(`admin/languages/${path}`, { method, admin: true });
      if (told.lasting === false) done += " Only until the service is restarted: the library cannot be written.";
    } catch (error) {
      this.problem.replaceChildren(alertOf(error));
      return false;
    }
    toast(done);
    await this.changed();
    this.fill();
    return true;
  }
}

function alertOf(error, titles = {}) {
  return h(
    "div",
    { class: "notice", role: "alert" },
    icon("warning"),
    h("div", {}, h("strong", {}, titles[error.status] ?? titleOf(error)), error.message && h("p", {}, error.message)),
  );
}

function titleOf(error) {
  if (!(error instanceof ApiError)) return "Something went wrong";
  if (error.status === 401 || error.status === 403) return "This admin key is not accepted";
  if (error.status === 404) return "This is not there";
  if (error.status >= 400 && error.status < 500 && error.status !== 429) return "That did not work";
  return explain(error).title;
}
