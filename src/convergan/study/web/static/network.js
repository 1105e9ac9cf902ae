// Requests that are repeated until they are answered, and images that are complete.

const WAITS_MS = [300, 1000, 2000, 4000, 8000];

// The path that the study is served under; addresses from the server are relative to it.
export const { root } = document.getElementById("study").dataset;

// A request that receives no byte for this long is repeated; a slow one that still receives some continues.
const STALL_MS = 20000;

// A response that stays the same, however often the request is repeated.
class Final extends Error {}

// The session no longer exists, or its time has run out.
export class SessionOver extends Final {}

// The session has continued elsewhere: in another tab, or with an answer that arrived after all.
export class Outdated extends Final {}

// All places were taken before the first answer that counts.
export class Full extends Final {}

// Any other request that the server, or a proxy in front of it, does not accept.
export class Refused extends Final {}

const FINAL = { 401: SessionOver, 404: Outdated, 409: Outdated, 410: Full };

// Too slow, too early, too often: a later attempt may succeed, as after every 5xx.
const PASSING = [408, 425, 429];

const trouble = document.getElementById("trouble");

async function persistently(path, options, read) {
  for (let attempt = 0; ; attempt += 1) {
    try {
      const content = await once(path, options, read);
      trouble.hidden = true;
      return content;
    } catch (error) {
      if (error instanceof Final) throw error;
    }
    // A single failure may be chance and is not shown.
    trouble.hidden = attempt === 0;
    const wait = WAITS_MS[Math.min(attempt, WAITS_MS.length - 1)];
    await new Promise((resume) => setTimeout(resume, wait));
  }
}

// One attempt.
async function once(path, options, read) {
  const stalled = new AbortController();
  let timer;
  const moving = () => {
    clearTimeout(timer);
    timer = setTimeout(() => stalled.abort(), STALL_MS);
  };
  try {
    moving();
    const response = await fetch(root + path, { cache: "no-store", signal: stalled.signal, ...options });
    check(response);
    const parts = [];
    const reader = response.body.getReader();
    for (;;) {
      moving();
      const { done, value } = await reader.read();
      if (done) return await read(new Blob(parts));
      parts.push(value);
    }
  } finally {
    clearTimeout(timer);
  }
}

function check({ ok, status }) {
  if (ok) return;
  const passing = status >= 500 || PASSING.includes(status);
  const Kind = passing ? Error : (FINAL[status] ?? Refused);
  throw new Kind(`The study's server answered ${status}.`);
}

export function post(path, content = {}) {
  const headers = { "Content-Type": "application/json" };
  const options = { method: "POST", headers, body: JSON.stringify(content) };
  return persistently(path, options, async (body) => JSON.parse(await body.text()));
}

// Loads an image as a decoded element, once all of its bytes have arrived.
export function loadImage(address, length, size) {
  return persistently(address, {}, async (body) => {
    if (body.size !== length) throw new Error("the image is incomplete");
    const image = new Image();
    // Otherwise a frame could be drawn without it.
    image.decoding = "sync";
    image.src = URL.createObjectURL(body);
    await image.decode();
    URL.revokeObjectURL(image.src);
    if (image.naturalWidth !== size) throw new Error("the image has another size");
    return image;
  });
}
