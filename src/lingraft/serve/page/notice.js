// Says what went wrong in words that help, and tries again where that is sensible.

import { keys } from "./api.js";
import { h, icon } from "./dom.js";

const LONGEST = 60; // seconds between two attempts

/** Returns {title, text, again}: `again` is whether another attempt may help without the user doing anything. */
export function explain(error) {
  if (error.status === 0) {
    return navigator.onLine === false
      ? { title: "You are offline", text: "This goes on when the connection is back.", again: true }
      : { title: "The server can’t be reached", text: "It may be restarting, or the connection is gone.", again: true };
  }
  const known = {
    401: ["An access key is needed", "Ask the people who run this server for one."],
    403: keys.access
      ? ["This access key is not known here", "Check it for typing errors."]
      : ["An access key is needed", "Ask the people who run this server for one."],
    408: ["That took too long", "Try a shorter text.", true],
    413: ["This text is too long", error.message],
    429: ["Too many requests", "This server limits how much each client may send.", true],
    456: ["The quota of this key is used up", error.message],
    502: ["The server can’t be reached", "Something between it and you gave no answer.", true],
    503: ["The server is busy", error.message || "It is starting, or many others are translating now.", true],
    504: ["That took too long", "The server is busy, or the text is very long.", true],
  }[error.status];
  if (known) return { title: known[0], text: known[1], again: known[2] ?? false };
  if (error.status >= 500)
    return {
      title: "Something went wrong on the server",
      text: "Its operator finds the reason in its log.",
      again: false,
    };
  return { title: "This can’t be translated", text: error.message, again: false };
}

/** One notice at one place, with a countdown. */
export class Notice {
  constructor(place, onretry) {
    Object.assign(this, { place, onretry, timer: null, attempts: 0 });
    addEventListener("online", () => this.timer && this.retry());
  }

  /** Takes the notice away. After a success the next wait is short again. */
  clear(succeeded = false) {
    clearInterval(this.timer);
    this.timer = null;
    if (succeeded) this.attempts = 0;
    this.place.replaceChildren();
  }

  show(error) {
    this.clear();
    const { title, text, again } = explain(error);
    const wait = h("span", { class: "wait", "aria-live": "off" });
    const button = again && h("button", { type: "button", onclick: () => this.retry() }, "Try again");
    const needsKey = error.status === 401 || error.status === 403;
    this.place.append(
      h(
        "div",
        { class: "notice", role: "alert" },
        icon("warning"),
        h(
          "div",
          {},
          h("strong", {}, title),
          text && h("p", {}, text),
          needsKey && keyForm(() => this.retry()),
          button && h("p", { class: "act" }, button, wait),
        ),
      ),
    );
    if (again) this.count(wait, error.retryAfter ?? Math.min(2 ** (this.attempts + 1), LONGEST));
  }

  count(place, seconds) {
    this.attempts += 1;
    const tick = () => {
      place.textContent = `again in ${seconds} s`;
      if (seconds-- <= 0) this.retry();
    };
    this.timer = setInterval(tick, 1000);
    tick();
  }

  retry() {
    this.clear();
    this.onretry();
  }
}

function keyForm(done) {
  const input = h("input", {
    type: "password",
    "aria-label": "Access key",
    placeholder: "Access key",
    autocomplete: "off",
  });
  const submit = (event) => {
    event.preventDefault();
    keys.access = input.value.trim();
    done();
  };
  return h("form", { class: "key", onsubmit: submit }, input, h("button", { type: "submit" }, "Use key"));
}
