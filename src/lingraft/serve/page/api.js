// The HTTP interface. Paths are relative to the page, so it also works behind a proxy, below a prefix.

const ROOT = new URL("../", import.meta.url);

/** Keys live in this tab's memory and nowhere else. */
export const keys = { access: "", admin: "" };

export class ApiError extends Error {
  /** @param status 0: no answer came. @param retryAfter seconds, or null */
  constructor(status, message, retryAfter = null) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

export async function request(path, { method = "GET", body, admin = false, signal } = {}) {
  const headers = { Accept: "application/json" };
  if (body) headers["Content-Type"] = "application/json";
  if (admin) headers.Authorization = `Bearer ${keys.admin}`;
  const options = { method, headers, signal, body: body && JSON.stringify(body), cache: "no-store" };
  let response;
  try {
    response = await fetch(new URL(path, ROOT), options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "no answer");
  }
  const data = await response.json().catch((error) => {
    if (error.name === "AbortError") throw error;
    return null;
  });
  if (response.ok && data !== null) return data;
  throw new ApiError(
    response.ok ? 502 : response.status,
    messageOf(data),
    seconds(response.headers.get("Retry-After")),
  );
}

export function translate(text, source, target, { alternatives = 0, signal } = {}) {
  const body = { q: text, source, target, format: "text" };
  if (alternatives) body.alternatives = alternatives;
  if (keys.access) body.api_key = keys.access;
  return request("translate", { method: "POST", body, signal });
}

function messageOf(data) {
  const message = data?.error ?? data?.message ?? data?.detail;
  return typeof message === "string" ? message.replace(/^\p{Ll}/u, (letter) => letter.toUpperCase()) : "";
}

function seconds(header) {
  if (!header) return null;
  const value = /^\d+(\.\d+)?$/.test(header) ? Number(header) : (Date.parse(header) - Date.now()) / 1000;
  return Number.isFinite(value) ? Math.max(1, Math.ceil(value)) : null;
}
