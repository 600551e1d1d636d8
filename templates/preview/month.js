"use strict";
// The day that has the mouse or the focus is told beside the picture, and arrows go from day to day.
// Without this file each day is a link to its line in the table.

for (const picture of document.querySelectorAll("[data-told]")) {
  const facts = document.getElementById(picture.dataset.told);
  const days = [...picture.querySelectorAll("a")];
  const tell = (day) => {
    const cells = document.getElementById(day.getAttribute("href").slice(1)).cells;
    facts.querySelectorAll("dd").forEach((place, n) => { place.textContent = cells[n].textContent.trim(); });
    for (const one of days) one.classList.toggle("told", one === day);
  };
  days.forEach((day, n) => {
    day.addEventListener("focus", () => tell(day));
    day.addEventListener("mouseenter", () => tell(day));
    day.addEventListener("keydown", (event) => {
      const to = { ArrowLeft: n - 1, ArrowRight: n + 1, Home: 0, End: days.length - 1 }[event.key];
      if (days[to]) {
        event.preventDefault();
        days[to].focus();
      }
    });
  });
}
