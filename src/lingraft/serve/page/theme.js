// Runs before anything is painted, so that a dark page never flashes white.
"use strict";
(() => {
  const root = document.documentElement;
  const wanted = () => {
    try {
      return JSON.parse(localStorage.getItem("lingraft.theme"));
    } catch {
      return null; // storage may be forbidden
    }
  };
  const system = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    root.dataset.theme = wanted() ?? (system.matches ? "dark" : "light");
  };
  system.addEventListener("change", apply);
  apply();
})();
