// What a language is called, and which way it is written. Codes come as `deu_Latn` or as any BCP-47 tag.

const RIGHT_TO_LEFT = new Set("Adlm Arab Aran Armi Avst Hebr Mand Mend Nkoo Phnx Rohg Samr Syrc Thaa Yezi".split(" "));
const natives = new Map();

/** The tag for `lang` attributes, e.g. `de-Latn`; null if the code is none. */
export function tag(code) {
  try {
    return Intl.getCanonicalLocales(String(code).replaceAll("_", "-"))[0] ?? null;
  } catch {
    return null;
  }
}

export function direction(code) {
  const known = tag(code);
  if (!known) return "auto";
  return RIGHT_TO_LEFT.has(new Intl.Locale(known).maximize().script) ? "rtl" : "ltr";
}

/** Attributes for an element that holds text of a language. */
export const written = (code) => ({ lang: tag(code), dir: direction(code) });

/** What a language calls itself, as far as the browser knows; "" if that says nothing more than its name. */
export function native(code, name) {
  if (!natives.has(code)) natives.set(code, lookUp(code));
  const found = natives.get(code);
  return found && found.toLowerCase() !== String(name).toLowerCase() ? found : "";
}

function lookUp(code) {
  const known = tag(code);
  if (!known) return "";
  const { language, script } = new Intl.Locale(known);
  if (!Intl.DisplayNames.supportedLocalesOf([language]).length) return "";
  const usual = new Intl.Locale(language).maximize().script;
  const shown = script && script !== usual ? `${language}-${script}` : language;
  const names = new Intl.DisplayNames([known], { type: "language", fallback: "none" });
  return names.of(shown) ?? "";
}

/** The English name of a language that the server has not named, with its code. */
export function english(code) {
  const known = tag(code);
  const found =
    known && new Intl.DisplayNames(["en"], { type: "language", fallback: "none" }).of(new Intl.Locale(known).language);
  return found ? `${found} (${code})` : code;
}

/** Whether two codes mean the same language, whatever their form. */
export function same(one, other) {
  if (one === other) return true;
  const [a, b] = [tag(one), tag(other)];
  return Boolean(a && b) && new Intl.Locale(a).maximize().baseName === new Intl.Locale(b).maximize().baseName;
}
