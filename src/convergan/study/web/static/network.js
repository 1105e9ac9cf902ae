// Requests that are repeated until they are answered, and images that are whole.

const WAITS_MS = [300, 1000, 2000, 4000, 8000];

// The path that the study is served under; addresses from the server are below it.
export const { root } = document.getElementById("study").dataset;

// Without a byte for so long, a request begins anew; a slow one that moves is left to move.
const STALL_MS = 20000;

// An answer that stays the same, however often it is asked for.
class Final extends Error {}

// The session is no more, or its time is over.
export class SessionOver extends Final {}

// The session has gone on elsewhere: another tab, or an answer that arrived after all.
export class Outdated extends Final {}

// All places were taken before the first answer.
export class Full extends Final {}

// Whatever else the server, or something on the way to it, does not accept.
export class Refused extends Final {}

const FINAL = { 401: SessionOver, 404: Outdated, 409: Outdated, 410: Full };

// Too slow, too early, too often: the next time may be better, as after every 5xx.
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
    // One failure may be chance: nobody needs to know.
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

// An image as an element, decoded, once every byte of it is there.
export function loadImage(address, length, size) {
  return persistently(address, {}, async (body) => {
    if (body.size !== length) throw new Error("the image is not whole");
    const image = new Image();
    // Or the frame that it is put in may be drawn before it is.
    image.decoding = "sync";
    image.src = URL.createObjectURL(body);
    await image.decode();
    URL.revokeObjectURL(image.src);
    if (image.naturalWidth !== size) throw new Error("the image is another");
    return image;
  });
}
