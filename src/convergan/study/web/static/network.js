// Requests that are repeated until they are answered, and images that are whole.

const WAITS_MS = [300, 1000, 2000, 4000, 8000];
const PATIENCE_MS = 20000;

// The session is no more, or its time is over.
export class SessionOver extends Error {}

// The session has gone on elsewhere: another tab, or an answer that arrived after all.
export class Outdated extends Error {}

const trouble = document.getElementById("trouble");

async function persistently(path, options, read) {
  for (let attempt = 0; ; attempt += 1) {
    try {
      const signal = AbortSignal.timeout(PATIENCE_MS);
      const response = await fetch(path, { cache: "no-store", signal, ...options });
      if (response.status === 401) throw new SessionOver();
      if (response.status === 404 || response.status === 409) throw new Outdated();
      if (response.ok) {
        const content = await read(response);
        trouble.hidden = true;
        return content;
      }
    } catch (error) {
      if (error instanceof SessionOver || error instanceof Outdated) throw error;
    }
    // One failure may be chance: nobody needs to know.
    trouble.hidden = attempt === 0;
    const wait = WAITS_MS[Math.min(attempt, WAITS_MS.length - 1)];
    await new Promise((resume) => setTimeout(resume, wait));
  }
}

export function post(path, content = {}) {
  const headers = { "Content-Type": "application/json" };
  const options = { method: "POST", headers, body: JSON.stringify(content) };
  return persistently(path, options, (response) => response.json());
}

// An image as an element, decoded, once every byte of it is there.
export function loadImage(address, length, size) {
  return persistently(address, {}, async (response) => {
    const content = await response.blob();
    if (content.size !== length) throw new Error("the image is not whole");
    const image = new Image();
    image.src = URL.createObjectURL(content);
    await image.decode();
    if (image.naturalWidth !== size) throw new Error("the image is another");
    return image;
  });
}
