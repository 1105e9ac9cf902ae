// Display of images: until they are cleared, or for a number of frames, followed by a mask.

const FIXATION_MS = 600;
const MASKS = 5;
const MASK_MS = 30;
const LARGEST_PX = 512;
const MOST_TIMES = 12;
const MARGIN_PX = 16;

const picture = document.getElementById("picture");

// The time at which the next frame begins; elements that are shown at once are part of it.
export const nextFrame = () => new Promise((resume) => requestAnimationFrame(resume));

// Measures the duration of one frame of the display, in ms.
export async function measureFrame() {
  const times = [];
  for (let frame = 0; frame < 31; frame += 1) times.push(await nextFrame());
  const steps = times.slice(1).map((time, frame) => time - times[frame]).sort((a, b) => a - b);
  return steps[Math.floor(steps.length / 2)];
}

// Enlarges an element by a whole number, if that fits, so that pixels stay pixels.
function fit(element, size) {
  const { clientWidth, clientHeight } = picture;
  const room = Math.min(clientWidth - 2 * MARGIN_PX, clientHeight, LARGEST_PX);
  const times = Math.min(Math.floor(room / size), MOST_TIMES);
  element.style.width = element.style.height = `${times >= 1 ? size * times : room}px`;
  element.classList.toggle("crisp", times > 1);
}

// The space changes when a phone is turned. This runs within the frame that is being drawn: it prolongs no exposure.
let refit = () => {};
new ResizeObserver(() => refit()).observe(picture);

function put(element, size) {
  picture.hidden = false;
  picture.replaceChildren(element);
  refit = () => fit(element, size);
  refit();
}

export function clear() {
  refit = () => {};
  picture.replaceChildren();
  picture.hidden = true;
}

// Shows an image until it is cleared; returns the time at which it appeared.
export async function show(image, size) {
  const appeared = await nextFrame();
  put(image, size);
  return appeared;
}

// Shows a cross, the image for so many ms, to the nearest frame, then masks; returns when the image appeared, and for how long.
export async function flash(image, size, exposure, frame) {
  const masks = Array.from({ length: MASKS }, drawMask);
  const cross = document.createElement("span");
  cross.className = "cross";
  const { end: appeared } = await hold(cross, size, await nextFrame(), FIXATION_MS, frame);
  let { end, frames } = await hold(image, size, appeared, exposure, frame);
  const shown_ms = end - appeared;
  for (const mask of masks) ({ end } = await hold(mask, size, end, MASK_MS, frame));
  clear();
  return { appeared, shown_ms, frames };
}

// Shows an element from the frame that has just begun, for so many ms, to the nearest frame; returns the time of the
// first frame without it.
async function hold(element, size, start, duration, frame) {
  put(element, size);
  for (let frames = 1; ; frames += 1) {
    const end = await nextFrame();
    if (end - start > duration - frame / 2) return { end, frames };
  }
}

// Coloured noise, equally strong at every scale: it masks shapes as well as texture.
function drawMask() {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 64;
  const context = canvas.getContext("2d");
  for (let cell = 32, layer = 1; cell >= 1; cell /= 2, layer += 1) {
    context.globalAlpha = 1 / layer;
    for (let x = 0; x < 64; x += cell) {
      for (let y = 0; y < 64; y += cell) {
        const [red, green, blue] = [0, 0, 0].map(() => Math.floor(Math.random() * 256));
        context.fillStyle = `rgb(${red} ${green} ${blue})`;
        context.fillRect(x, y, cell, cell);
      }
    }
  }
  return canvas;
}
