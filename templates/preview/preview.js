"use strict";
// Pages work without this file; it spares a click.

for (const form of document.querySelectorAll("form.tools, form.tongue")) {
  form.addEventListener("change", () => form.requestSubmit());
  const button = form.querySelector("button:not(.go)");
  if (button) button.hidden = true;
  form.addEventListener("submit", () => {
    for (const field of form.elements) {
      if (field.name && field.value === "") field.disabled = true;
    }
  });
}
