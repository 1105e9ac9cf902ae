// Putting images on the screen: as they are, or for a number of frames and then masked.

const FIXATION_MS = 600;
const MASKS = 5;
const MASK_MS = 30;
const LARGEST_PX = 512;
const MOST_TIMES = 12;

const picture = document.getElementById("picture");

const nextFrame = () => new Promise((resume) => requestAnimationFrame(resume));

// How long the display shows one frame, in ms.
export async function measureFrame() {
  const times = [];
  for (let frame = 0; frame < 31; frame += 1) times.push(await nextFrame());
  const steps = times.slice(1).map((time, frame) => time - times[frame]).sort((a, b) => a - b);
  return steps[Math.floor(steps.length / 2)];
}

// A whole number of times as large as it is, where that fits; pixels stay pixels.
function fit(element, size) {
  const room = Math.min(window.innerWidth - 32, window.innerHeight - 260, LARGEST_PX);
  const times = Math.min(Math.floor(room / size), MOST_TIMES);
  const side = times >= 1 ? size * times : Math.max(room, 0);
  element.style.width = element.style.height = `${side}px`;
  element.classList.toggle("crisp", times > 1);
}

function put(element, size) {
  fit(element, size);
  picture.replaceChildren(element);
  picture.hidden = false;
}

export function clear() {
  for (const image of picture.querySelectorAll("img")) URL.revokeObjectURL(image.src);
  picture.replaceChildren();
  picture.hidden = true;
}

// Shows an image until it is cleared; gives the time at which it appeared.
export async function show(image, size) {
  await nextFrame();
  put(image, size);
  return nextFrame();
}

// A cross, the image for so many ms, to the nearest frame, then masks; gives when it appeared and for how long.
export async function flash(image, size, exposure, frame) {
  const masks = Array.from({ length: MASKS }, () => drawMask(size));
  const cross = document.createElement("span");
  cross.className = "cross";
  put(cross, size);
  await lasting(FIXATION_MS, frame);
  put(image, size);
  const shown = await lasting(exposure, frame);
  for (const mask of masks) {
    put(mask, size);
    await lasting(MASK_MS, frame);
  }
  clear();
  return shown;
}

// Waits until what was put on the screen has been there for so many ms, to the nearest frame.
async function lasting(duration, frame) {
  const appeared = await nextFrame();
  for (let frames = 1; ; frames += 1) {
    const elapsed = (await nextFrame()) - appeared;
    if (elapsed > duration - frame / 2) return { appeared, shown_ms: elapsed, frames };
  }
}

// Coloured noise, as strong at every size: it covers shapes as well as texture.
function drawMask(size) {
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
