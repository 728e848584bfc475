// Progress of the trainings into this library, asked for every two seconds while it is seen.

import { request } from "./api.js";
import { h, s } from "./dom.js";
import { english } from "./names.js";

const EVERY = 2000; // ms
const KEPT = 200; // losses in the line
const QUIET = 60; // seconds without news that are worth a word

export class Training {
  /** @param nameOf names a language if the server knows it. @param refused is called when the key is no longer taken */
  constructor(nameOf, refused) {
    Object.assign(this, { nameOf, refused, place: h("div", { "aria-live": "off" }), timer: null, losses: new Map() });
  }

  start() {
    this.stop();
    this.timer = setInterval(() => document.hidden || this.poll(), EVERY);
    this.poll();
  }

  stop() {
    clearInterval(this.timer);
    this.timer = null;
  }

  async poll() {
    let answer;
    try {
      answer = await request("admin/training", { admin: true });
    } catch (error) {
      if (error.status === 401 || error.status === 403) this.refused(error);
      else
        this.place.replaceChildren(h("p", { class: "card pad soft" }, "The server gives no answer about trainings."));
      return;
    }
    const runs = Array.isArray(answer.runs) ? answer.runs : [];
    this.place.replaceChildren(
      ...(runs.length
        ? runs.map((run) => this.show(run))
        : [
            h(
              "p",
              { class: "card pad soft" },
              "Nothing is being trained into this library. ",
              h("code", {}, "lingraft add"),
              " starts a training; it shows here.",
            ),
          ]),
    );
  }

  show(run) {
    const name = (run.languages ?? []).map((code) => this.called(code)).join(", ");
    const part = run.steps ? Math.min(run.step / run.steps, 1) : null;
    const bar = h("progress", { max: "1", value: part, "aria-label": `Training of ${name}` });
    const facts = [
      run.steps ? `step ${run.step} of ${run.steps}` : run.step > 0 && `step ${run.step}`,
      Number.isFinite(run.loss) && `loss ${run.loss.toFixed(3)}`,
      Number.isFinite(run.seconds_left) && `${time(run.seconds_left)} left`,
      Date.now() / 1000 - run.updated > QUIET && `no news for ${time(Date.now() / 1000 - run.updated)}`,
    ].filter(Boolean);
    return h(
      "div",
      { class: "card pad run" },
      h(
        "div",
        { class: "run-head" },
        h("strong", {}, name),
        h("span", { class: "badge" }, String(run.state ?? "running")),
      ),
      bar,
      h("div", { class: "soft fine" }, facts.join(" · ")),
      this.line(name, run),
      adapters(run.adapters ?? {}),
    );
  }

  called(code) {
    const name = this.nameOf(code);
    return name ? `${name} (${code})` : english(code);
  }

  /** The loss so far, as far as this tab has seen it. */
  line(name, run) {
    const seen = this.losses.get(name) ?? [];
    if (Number.isFinite(run.loss) && seen.at(-1)?.[0] !== run.step) seen.push([run.step, run.loss]);
    this.losses.set(name, seen.slice(-KEPT));
    if (seen.length < 3) return null;
    const [xs, ys] = [seen.map(([step]) => step), seen.map(([, loss]) => loss)];
    const scale = (value, all, from, to) =>
      from + ((value - Math.min(...all)) / (Math.max(...all) - Math.min(...all) || 1)) * (to - from);
    const points = seen.map(
      ([step, loss]) => `${scale(step, xs, 2, 298).toFixed(1)},${scale(loss, ys, 46, 4).toFixed(1)}`,
    );
    return s(
      "svg",
      {
        viewBox: "0 0 300 50",
        class: "loss",
        role: "img",
        "aria-label": `Loss from ${ys[0].toFixed(2)} to ${ys.at(-1).toFixed(2)}`,
      },
      s("polyline", { points: points.join(" ") }),
    );
  }
}

/** How each adapter did on its dev rows so far. */
function adapters(all) {
  const number = (value) => h("td", { class: "number" }, Number.isFinite(value) ? value.toFixed(3) : "–");
  const rows = Object.entries(all).map(([name, adapter]) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, name),
      h("td", { class: "number" }, adapter.epoch ?? ""),
      number(adapter.dev_loss),
      number(adapter.best_loss),
      h("td", {}, adapter.stopped ? "done" : "training"),
    ),
  );
  const head = h(
    "tr",
    {},
    h("th", { scope: "col" }, "Adapter"),
    ["Epoch", "Dev loss", "Best"].map((title) => h("th", { scope: "col", class: "number" }, title)),
    h("th", { scope: "col" }, "State"),
  );
  return rows.length
    ? h("div", { class: "scroll" }, h("table", { class: "plain adapters" }, h("thead", {}, head), h("tbody", {}, rows)))
    : null;
}

function time(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}
