"use strict";

// Tables: a click on a heading sorts by that column, a second one the other way round.
for (const table of document.querySelectorAll("table.sort")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    head.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const body = table.tBodies[0];
      const rows = [...body.rows].map((row) => [key(row.cells[column]), row]);
      rows.sort(([a], [b]) => compare(a, b, down ? -1 : 1));
      body.append(...rows.map(([, row]) => row));
    });
  });
}

function key(cell) {
  if (!cell) return "";
  const text = cell.dataset.v === undefined ? cell.textContent.trim() : cell.dataset.v;
  const number = Number(text);
  return text === "" || Number.isNaN(number) ? text : number;
}

// What is missing comes last, whichever way is sorted.
function compare(a, b, sign) {
  if (a === "" || b === "") return (a === "") - (b === "");
  if (typeof a === "number" && typeof b === "number") return sign * (a - b);
  return sign * String(a).localeCompare(String(b), "en", { numeric: true });
}

for (const input of document.querySelectorAll("input.filter")) {
  const rows = document.getElementById(input.dataset.table).tBodies[0].rows;
  input.addEventListener("input", () => {
    const wanted = input.value.toLowerCase();
    for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  });
}

// Traversals: the slider shows one of the frames, and Play moves it to and fro.
for (const figure of document.querySelectorAll("figure.traversal")) {
  const frames = [...figure.querySelectorAll("img")];
  const slider = figure.querySelector("input");
  const output = figure.querySelector("output");
  const play = figure.querySelector("button");
  let timer = 0;
  let direction = 1;

  const show = () => {
    const chosen = Number(slider.value);
    frames.forEach((frame, place) => { frame.hidden = place !== chosen; });
    output.textContent = frames[chosen].dataset.label;
  };
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    play.textContent = "Play";
  };
  slider.addEventListener("input", () => { stop(); show(); });
  play.addEventListener("click", () => {
    if (timer) return stop();
    play.textContent = "Stop";
    timer = setInterval(() => {
      const last = frames.length - 1;
      const next = Number(slider.value) + direction;
      if (next < 0 || next > last) direction = -direction;
      slider.value = Math.min(Math.max(Number(slider.value) + direction, 0), last);
      show();
    }, 120);
  });
}
