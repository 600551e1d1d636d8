"use strict";
// The day that has the mouse or the focus is told beside the picture, and arrows go from day to day.
// Without this file each day is a link to its line in the table.

function dayOf(event) {
  return event.target instanceof Element ? event.target.closest("[data-told] a") : null;
}

function tell(event) {
  const day = dayOf(event);
  if (!day) return;
  const picture = day.closest("[data-told]");
  const cells = document.getElementById(day.getAttribute("href").slice(1)).cells;
  const places = document.getElementById(picture.dataset.told).querySelectorAll("dd");
  places.forEach((place, n) => { place.textContent = cells[n].textContent.trim(); });
  for (const one of picture.querySelectorAll("a")) one.classList.toggle("told", one === day);
}

document.addEventListener("focusin", tell);
document.addEventListener("mouseover", tell);
// Before the arrows reach what they do elsewhere: to go to another edition.
document.addEventListener("keydown", (event) => {
  const day = dayOf(event);
  if (!day) return;
  const days = [...day.parentNode.querySelectorAll("a")];
  const n = days.indexOf(day);
  const to = { ArrowLeft: n - 1, ArrowRight: n + 1, Home: 0, End: days.length - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  event.stopPropagation();
  days[to]?.focus();
}, true);
