"use strict";
// The form works without this file. With it the answer follows the typing; the server computes it all the same.

(() => {
  const form = document.getElementById("what-if");
  const answer = document.getElementById("answer");
  if (!form || !answer) return;
  let waiting = 0;
  let busy = false;

  const address = () => {
    const state = new URLSearchParams();
    for (const [name, value] of new FormData(form)) {
      if (String(value).trim() !== "") state.append(name, value);
    }
    const query = state.toString();
    return location.pathname + (query ? `?${query}` : "");
  };

  const tell = () => {
    for (const why of form.querySelectorAll(".why")) why.remove();
    for (const field of form.elements) field.removeAttribute("aria-invalid");
    for (const note of answer.querySelectorAll("[data-problem]")) {
      const field = form.elements.namedItem(note.dataset.problem);
      if (field) field.setAttribute("aria-invalid", "true");
    }
    for (const field of form.querySelectorAll(".figure input")) {
      field.closest(".figure").classList.toggle("changed", field.value.trim() !== "");
    }
  };

  const show = () => {
    for (const button of answer.querySelectorAll("[data-copy]")) {
      button.hidden = !navigator.clipboard;
    }
  };

  // One question at a time: what is typed meanwhile is asked when its answer is there.
  const ask = async () => {
    if (busy) return;
    busy = true;
    const to = address();
    const reply = await fetch(to + (to.includes("?") ? "&" : "?") + "part=answer").catch(() => null);
    const kind = reply ? reply.headers.get("content-type") || "" : "";
    if (reply && (reply.ok || reply.status === 422) && kind.startsWith("text/html")) {
      answer.innerHTML = await reply.text();
      history.replaceState(null, "", to);
      tell();
      show();
    }
    busy = false;
    if (to !== address()) ask();
  };

  form.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(ask, 60);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    // The chosen segment may bring its own fields, so the whole page is asked for.
    location.assign(address());
  });
  const tongue = document.querySelector("form.tongue");
  if (tongue) {
    tongue.addEventListener("submit", (event) => {
      event.preventDefault();
      const to = new URL(address(), location.href);
      to.searchParams.set("ui", tongue.elements.namedItem("ui").value);
      location.assign(to);
    });
  }
  answer.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = button.dataset.done;
  });
  show();
})();
