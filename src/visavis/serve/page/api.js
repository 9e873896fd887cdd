/* The server's HTTP calls, and every failure as one sentence for a person.
   Api.request() resolves to the JSON of the answer or throws an ApiError whose `kind` is
   "busy", "key", "gone", "refused", "offline" or "failed". */

const KEY_SLOT = "visavis.key";

export class ApiError extends Error {
  constructor(kind, message, retryS = 0) {
    super(message);
    this.kind = kind;
    this.retryS = retryS;
  }
}

export class Api {
  constructor(base = new URL("./", document.baseURI)) {
    this.base = base;
    this.key = sessionStorage.getItem(KEY_SLOT) ?? "";
  }

  /** Keep the key that the person gave, for this tab only. */
  useKey(key) {
    this.key = key;
    sessionStorage.setItem(KEY_SLOT, key);
  }

  address(path) {
    return new URL(`api/${path}`, this.base);
  }

  /** Ask for `path`; `body` is JSON, or FormData as it is; `token` opens one session. */
  async request(method, path, { body, token, keepalive } = {}) {
    const headers = {};
    const secret = token ?? this.key;
    if (secret) headers.Authorization = `Bearer ${secret}`;
    const isForm = body instanceof FormData;
    if (body !== undefined && !isForm) headers["Content-Type"] = "application/json";
    let answer;
    try {
      answer = await fetch(this.address(path), {
        method, headers, keepalive,
        body: body === undefined || isForm ? body : JSON.stringify(body),
      });
    } catch {
      throw new ApiError("offline", "The server cannot be reached. Check your connection.");
    }
    const content = await answer.json().catch(() => null);
    if (!answer.ok) throw refusal(answer, content);
    return content;
  }

  /** The address of a picture that needs the key: fetched, and handed over as a blob: address. */
  async picture(avatarId) {
    const address = this.address(`avatars/${encodeURIComponent(avatarId)}/picture`);
    if (!this.key) return address.href;
    const answer = await fetch(address, { headers: { Authorization: `Bearer ${this.key}` } });
    return answer.ok ? URL.createObjectURL(await answer.blob()) : "";
  }
}

function refusal(answer, content) {
  const said = spoken(content);
  const retryS = Number(answer.headers.get("Retry-After")) || 0;
  switch (answer.status) {
    case 401:
    case 403:
      return new ApiError("key", said || "The server did not accept the key.");
    case 404:
    case 410:
      return new ApiError("gone", said || "That is not there any more.");
    case 413:
      return new ApiError("refused", said || "That file is too large for this server.");
    case 429:
    case 503:
      return new ApiError("busy", said || "All places are taken just now.", retryS);
    default:
      return new ApiError(
        answer.status < 500 ? "refused" : "failed",
        said || `The server had a problem (${answer.status}).`,
      );
  }
}

/** What an error answer says to people. */
function spoken(content) {
  return typeof content?.message === "string" ? content.message : "";
}
