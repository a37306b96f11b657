/* How scripts ask the API: the session's cookie goes along by itself, the token against forgery is added here, and a
   problem becomes an error with its code. */

export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || `the service answered ${status}`);
    this.status = status;
    this.code = body.code || "unknown";
  }
}

export function scriptToken() {
  return document.querySelector('meta[name="csrf-token"]').content;
}

export async function ask(path, { method = "GET", json, body, signal, keepalive } = {}) {
  const headers = { "X-CSRF-Token": scriptToken(), Accept: "application/json" };
  if (json !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, {
    method, headers, signal, keepalive, body: json === undefined ? body : JSON.stringify(json), credentials: "same-origin",
  });
  if (answer.status === 401) location.assign(`/console/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`);
  if (!answer.ok) throw new Problem(answer.status, await answer.json().catch(() => ({})));
  return answer.status === 204 ? null : answer.json();
}
