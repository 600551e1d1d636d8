"use strict";
// Pages work without this file; it spares a click, and shows a saved file at once.

const body = document.body;
const title = document.title;
let shown = body.dataset.version;
let wanted = shown;
let busy = false;

function prepare() {
  for (const form of document.querySelectorAll("form.tools, form.tongue")) {
    if (form.dataset.prepared) continue;
    form.dataset.prepared = "1";
    form.addEventListener("change", (event) => {
      // A correction belongs to its date.
      const correction = form.elements.namedItem("correction");
      if (correction && ["date", "scenario"].includes(event.target.name)) correction.value = "0";
      form.requestSubmit();
    });
    const button = form.querySelector("button:not(.go)");
    if (button) button.hidden = true;
    form.addEventListener("submit", () => {
      for (const field of form.elements) {
        if (field.name && field.value === "") field.disabled = true;
      }
    });
  }
}

// ---------------------------------------------------------------------------- a file was saved

// Fields that a person has changed are theirs: the page then waits for them.
function untouched() {
  return [...document.querySelectorAll("main input, main select, main textarea")].every((field) => {
    if (field.type === "checkbox" || field.type === "radio") return field.checked === field.defaultChecked;
    if (field.tagName === "SELECT") return true;
    return field.value === field.defaultValue;
  });
}

// The mail, and the one it is compared with.
function mails(page) {
  return [...page.querySelectorAll("#frame, #beside")];
}

// Loads the mail anew; a slow one does not keep back what there is to say about it.
function loaded(frame) {
  return new Promise((done) => {
    frame.addEventListener("load", done, { once: true });
    setTimeout(done, 150);
    frame.src = frame.getAttribute("src");
  });
}

async function renew() {
  if (busy || shown === wanted) return;
  busy = true;
  const asked = wanted;
  // The mail comes first, then the page around it; while a file is broken it is the last good one.
  try {
    await Promise.all(mails(document).map(loaded));
    const answer = await fetch(location.href);
    if (answer.redirected) {
      location.replace(answer.url);
      return;
    }
    const next = new DOMParser().parseFromString(await answer.text(), "text/html");
    const overlay = next.getElementById("overlay");
    if (!overlay) {
      location.reload();
      return;
    }
    const told = document.getElementById("overlay");
    if (told.innerHTML !== overlay.innerHTML) told.replaceChildren(...overlay.childNodes);
    body.classList.toggle("stale", next.body.classList.contains("stale"));
    // A page that cannot be made leaves the last good one where it is.
    if (answer.ok && untouched()) place(next);
    shown = asked;
    body.dataset.version = asked;
  } catch {
    offline();
  } finally {
    busy = false;
  }
  if (shown !== wanted) setTimeout(renew, 20);
}

// The frame stays where it is and only loads anew: the page keeps its place and its scroll position.
function place(next) {
  const old = mails(document);
  const fresh = mails(next);
  const main = document.getElementById("main");
  const active = document.activeElement && document.activeElement.id;
  if (old.length && old.length === fresh.length) {
    exchange(main, next.getElementById("main"), old[0].closest(".sheet"));
    old.forEach((frame, n) => {
      const address = fresh[n].getAttribute("src");
      frame.title = fresh[n].title;
      if (frame.getAttribute("src") !== address) frame.src = address;
    });
  } else {
    main.replaceChildren(...next.getElementById("main").childNodes);
    if (active) document.getElementById(active)?.focus();
  }
  document.title = next.title;
  prepare();
}

// Replaces all children but the one that holds the frame; moving a frame would empty it.
function exchange(main, next, kept) {
  const twin = next.querySelector(".sheet");
  for (const child of [...main.childNodes]) if (child !== kept) child.remove();
  let before = true;
  for (const child of [...next.childNodes]) {
    if (child === twin) before = false;
    else if (before) main.insertBefore(child, kept);
    else main.append(child);
  }
}

// --------------------------------------------------------------------------------- the server

let stream = null;

function offline() {
  if (!document.title.startsWith("offline")) document.title = `offline · ${title}`;
}

function listen() {
  stream = new EventSource("/events");
  stream.addEventListener("open", () => {
    document.title = document.title.replace(/^offline · /, "");
  });
  stream.addEventListener("message", (event) => {
    wanted = event.data;
    renew();
  });
  stream.addEventListener("error", () => {
    // The stream ends every now and then by itself; only a server that does not answer is gone.
    if (stream.readyState === EventSource.CLOSED) setTimeout(listen, 1000);
    fetch("/healthz").then((answer) => { if (!answer.ok) offline(); }, offline);
  });
}

// ------------------------------------------------------------------------------------- keys

function choose(name, step) {
  const field = document.querySelector(`form.tools [name="${name}"]`);
  if (!field) return;
  field.selectedIndex = (field.selectedIndex + step) % field.options.length;
  field.form.requestSubmit();
}

function follow(selector) {
  document.querySelector(selector)?.click();
}

function explain() {
  const text = document.getElementById("keys");
  text.hidden = !text.hidden;
}

const KEYS = {
  d: () => choose("dark", 1),
  m: () => choose("w", 1),
  l: () => choose("locale", 1),
  ArrowLeft: () => follow('a.step[rel="prev"]'),
  ArrowRight: () => follow('a.step[rel="next"]'),
  "?": explain,
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, select, textarea, [contenteditable], pre, iframe")) return;
  if (event.key === "Escape") document.getElementById("keys").hidden = true;
  if (/^[1-6]$/.test(event.key)) follow(`nav.tabs li:nth-child(${event.key}) a`);
  KEYS[event.key]?.();
});

prepare();
listen();
window.addEventListener("pagehide", () => stream.close());
