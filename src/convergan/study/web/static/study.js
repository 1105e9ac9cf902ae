// A session: instructions, practice, trials. The server decides what comes next.

import { clear, flash, measureFrame, nextFrame, show } from "./display.js";
import { Full, loadImage, Outdated, post, Refused, root, SessionOver } from "./network.js";

const element = (id) => document.getElementById(id);
const study = element("study");
const size = Number(study.dataset.size);
const length = Number(study.dataset.length);
const timed = "timed" in study.dataset;

// By the letter of a key, or by its position on keyboards of other scripts.
const ANSWERS = { f: "real", arrowleft: "real", j: "generated", arrowright: "generated" };
const PLACES = { KeyF: "real", KeyJ: "generated" };

// Nobody judges an image this fast: a tap or key press that comes so soon was meant for what was shown before.
const SETTLE_MS = 250;

let totals;
let frame;
let images = new Map();
let loaded = Promise.resolve();

async function run() {
  let tasks = await resume();
  if (timed) frame = await measureFrame();
  if (tasks.length && tasks[0].position === 1) await sheet("instructions");
  else if (timed && tasks.length) await sheet("go-on");
  if (timed) await fillScreen();
  while (tasks.length) {
    try {
      load(tasks);
      const [task] = tasks;
      const first = totals.practice > 0 && task.position === totals.practice + 1;
      if (first) await sheet("practice-over");
      if (timed) await keepFullScreen();
      tasks = await perform(task);
    } catch (error) {
      if (!(error instanceof Outdated)) throw error;
      wipe();
      tasks = await resume();
    }
  }
  location.replace(`${root}/done`);
}

async function resume() {
  totals = await post("/api/resume");
  images = new Map();
  return totals.tasks;
}

// Loads the images of these tasks, each once and one after the other: a slow connection serves the next image first.
function load(tasks) {
  for (const { position, image } of tasks) {
    if (image && !images.has(position)) {
      const loading = loaded.then(() => loadImage(image, length, size));
      loaded = loading.catch(() => {});
      images.set(position, loading);
    }
  }
}

async function perform(task) {
  const key = crypto.getRandomValues(new Uint8Array(16)).reduce((text, byte) => text + byte.toString(16).padStart(2, "0"), "");
  announce(task);
  const { appeared, ...exposure } = await present(task, key);
  const { answer, input, time } = await answered(appeared);
  const content = { position: task.position, key, answer, response_ms: time - appeared, input, ...where(), ...exposure };
  const receipt = await post("/api/votes", content);
  images.delete(task.position);
  load(receipt.tasks);
  element("progress").value = task.position;
  if (receipt.truth) await tell(receipt);
  wipe();
  return receipt.tasks;
}

// Removes the task from the page.
function wipe() {
  element("check").hidden = true;
  clear();
}

function announce(task) {
  const progress = element("progress");
  progress.max = totals.total;
  progress.value = task.position - 1;
  const name = task.kind === "practice" ? "Practice" : "Image";
  const count = task.kind === "practice" ? totals.practice : totals.trials;
  element("where").textContent = task.kind === "check" ? "Attention check" : `${name} ${task.number} of ${count}`;
  // Visible from the start; otherwise the image would move when they appear.
  for (const button of element("answers").children) button.disabled = true;
  element("answers").hidden = false;
}

// Shows a task; returns when it appeared and, if it is timed, for how long it was shown.
async function present(task, key) {
  if (task.kind === "check") {
    element("asked").textContent = task.asks === "real" ? "Real" : "Generated";
    element("check").hidden = false;
    return { appeared: await nextFrame() };
  }
  const image = await images.get(task.position);
  image.alt = "The image to judge";
  if (!timed) return { appeared: await show(image, size) };
  const { exposure_ms: exposure } = await post("/api/show", { position: task.position, key });
  return { ...(await flash(image, size, exposure, frame)), frame_ms: frame };
}

// Waits for the participant's answer, by key or by button.
async function answered(appeared) {
  await settled(appeared);
  const answers = element("answers");
  return new Promise((resolve) => {
    const ending = new AbortController();
    const finish = (answer, input) => {
      ending.abort();
      for (const button of answers.children) button.disabled = true;
      resolve({ answer, input, time: performance.now() });
    };
    for (const button of answers.children) {
      button.disabled = false;
      button.addEventListener("click", (event) => finish(button.id, inputOf(event)), { signal: ending.signal });
    }
    const press = (event) => {
      const answer = ANSWERS[event.key.toLowerCase()] ?? PLACES[event.code];
      if (!answer || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      finish(answer, "key");
    };
    document.addEventListener("keydown", press, { signal: ending.signal });
  });
}

// The means by which a button was pressed: a click by the keyboard, or by a screen reader, has no pointer.
let pointer = "mouse";
document.addEventListener("pointerdown", (event) => { pointer = event.pointerType; }, { capture: true });
const INPUTS = ["mouse", "touch", "pen"];
function inputOf({ detail }) {
  if (detail === 0) return "key";
  return INPUTS.includes(pointer) ? pointer : "mouse";
}

// The kind of device, and the size of the page on it.
function where() {
  const small = Math.min(screen.width, screen.height) < 600;
  const device = !matchMedia("(pointer: coarse)").matches ? "computer" : small ? "phone" : "tablet";
  return { device, window_width: Math.round(innerWidth), window_height: Math.round(innerHeight) };
}

async function tell({ answer, truth }) {
  const right = answer === truth;
  const verdict = element("verdict");
  verdict.className = right ? "right" : "wrong";
  verdict.textContent = `${right ? "✓ Right" : "✗ Wrong"}: it is ${truth}.`;
  verdict.hidden = false;
  element("answers").hidden = true;
  element("onward").hidden = false;
  await pressed(element("next"));
  element("onward").hidden = true;
  verdict.hidden = true;
}

// Shows a page of text until its button is pressed.
async function sheet(id) {
  element("answers").hidden = true;
  element("where").textContent = "";
  element(id).hidden = false;
  await pressed(element(id).querySelector("button"));
  element(id).hidden = true;
}

// Whether the browser has let the page fill the screen. Phones may refuse, and the session continues without.
let filled = false;

// Fills the screen, so that nothing distracts from an image that is shown only for a moment. Called right after a
// button was pressed, as browsers require.
async function fillScreen() {
  try {
    await document.documentElement.requestFullscreen({ navigationUI: "hide" });
    filled = true;
  } catch {
    filled = false;
  }
  // The page changes size for some frames.
  if (filled) frame = await measureFrame();
}

// Participants who have left full screen, with Escape for example, return to it before the next image.
async function keepFullScreen() {
  if (!filled || document.fullscreenElement) return;
  await sheet("full-screen");
  await fillScreen();
}

async function pressed(button) {
  button.disabled = true;
  await settled(await nextFrame());
  button.disabled = false;
  // A text is read from its beginning, even where its button is far below.
  button.focus({ preventScroll: true });
  await new Promise((resolve) => button.addEventListener("click", resolve, { once: true }));
}

function settled(appeared) {
  return new Promise((resume) => setTimeout(resume, appeared + SETTLE_MS - performance.now()));
}

// A key that is held down presses one button, and not the next one too.
document.addEventListener("keydown", (event) => {
  if (event.repeat && ["Enter", " "].includes(event.key)) event.preventDefault();
});

run().catch((error) => {
  if (error instanceof Full) {
    // That page says so, with the code for a platform.
    location.replace(`${root}/study`);
    return;
  }
  clear();
  for (const part of document.querySelectorAll("main > *, footer > *")) part.hidden = true;
  const over = error instanceof SessionOver;
  element(over ? "over" : "stopped").hidden = false;
  element("reason").textContent = error.message;
  if (!over && !(error instanceof Refused)) throw error;
});
