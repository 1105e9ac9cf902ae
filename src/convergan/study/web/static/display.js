// Putting images on the screen: as they are, or for a number of frames and then masked.

const FIXATION_MS = 600;
const MASKS = 5;
const MASK_MS = 30;
const LARGEST_PX = 512;
const MOST_TIMES = 12;
const MARGIN_PX = 16;

const picture = document.getElementById("picture");

// The time of a frame, as it begins: what is put on the screen at once is part of it.
export const nextFrame = () => new Promise((resume) => requestAnimationFrame(resume));

// How long the display shows one frame, in ms.
export async function measureFrame() {
  const times = [];
  for (let frame = 0; frame < 31; frame += 1) times.push(await nextFrame());
  const steps = times.slice(1).map((time, frame) => time - times[frame]).sort((a, b) => a - b);
  return steps[Math.floor(steps.length / 2)];
}

// A whole number of times as large as it is, where that fits; pixels stay pixels.
function fit(element, size) {
  const { clientWidth, clientHeight } = picture;
  const room = Math.min(clientWidth - 2 * MARGIN_PX, clientHeight, LARGEST_PX);
  const times = Math.min(Math.floor(room / size), MOST_TIMES);
  element.style.width = element.style.height = `${times >= 1 ? size * times : room}px`;
  element.classList.toggle("crisp", times > 1);
}

// The room changes when a telephone is turned. This runs within the frame that is being drawn: no exposure takes longer.
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

// Shows an image until it is cleared; gives the time at which it appeared.
export async function show(image, size) {
  const appeared = await nextFrame();
  put(image, size);
  return appeared;
}

// A cross, the image for so many ms, to the nearest frame, then masks; gives when it appeared and for how long.
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

// Puts an element on the screen in the frame that has just begun, for so many ms, to the nearest frame; gives the
// frame that is the first without it.
async function hold(element, size, start, duration, frame) {
  put(element, size);
  for (let frames = 1; ; frames += 1) {
    const end = await nextFrame();
    if (end - start > duration - frame / 2) return { end, frames };
  }
}

// Coloured noise, as strong at every size: it covers shapes as well as texture.
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
