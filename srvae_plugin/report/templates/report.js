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

// Names of the columns, without what explains them.
function columns(table) {
  return [...table.tHead.rows[0].cells].map((cell) => {
    const copy = cell.cloneNode(true);
    for (const part of copy.querySelectorAll(".way")) part.remove();
    return copy.textContent.trim();
  });
}

// Narrow windows show each row as a card, whose lines need the columns' names.
for (const table of document.querySelectorAll("table")) {
  const heads = [...table.tHead.rows[0].cells];
  const usual = "higher is better";
  const labels = columns(table).map((name, column) => ((heads[column].querySelector(".way")?.textContent ?? usual) === usual ? name : `${name}, ${heads[column].querySelector(".way").textContent}`));
  const first = table.tBodies[0].rows[0];
  // Headings stand over their numbers.
  if (first && !table.matches(".overview")) heads.forEach((head, column) => { head.classList.toggle("n", Boolean(first.cells[column]?.matches(".n"))); });
  for (const body of table.tBodies) {
    for (const row of body.rows) {
      [...row.cells].forEach((cell, column) => { cell.dataset.label = labels[column] || ""; });
    }
  }
  table.classList.add("cards-when-narrow");
}

// On paper nothing can be opened: the notes that a table refers to are printed.
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details.footnotes:not([open])")];
  folded.forEach((note) => { note.open = true; });
});
addEventListener("afterprint", () => folded.forEach((note) => { note.open = false; }));

// A link to a model opens its configuration.
function openConfiguration() {
  const row = document.getElementById(location.hash.slice(1));
  const details = row && row.matches("tr") && row.querySelector("details");
  if (details) details.open = true;
}
addEventListener("hashchange", openConfiguration);
openConfiguration();

// Downloads: tables as CSV, Markdown and LaTeX, figures as SVG and PNG.
const file = document.body.dataset.file;

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name.replace(/[^\w.-]+/g, "-");
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function lines(table) {
  const text = (cell) => cell.textContent.replace(/\s+/g, " ").trim();
  const head = columns(table);
  const rows = [...table.tBodies[0].rows].filter((row) => !row.hidden);
  return [head, ...rows.map((row) => [...row.cells].map((cell) => ({ text: text(stripped(cell)), value: cell.dataset.v })))];
}

// What the letters beside a table's numbers say.
function footnotes(table) {
  let next = (table.closest(".scroll") || table).nextElementSibling;
  while (next && !next.matches(".footnotes, .scroll, h3")) next = next.nextElementSibling;
  if (!next || !next.matches(".footnotes")) return [];
  return [...next.querySelectorAll("li")].map((note) => stripped(note).textContent.replace(/\s+/g, " ").trim());
}

// Without the titles of drawings.
function stripped(cell) {
  const copy = cell.cloneNode(true);
  for (const part of copy.querySelectorAll("svg, details")) part.remove();
  for (const mark of copy.querySelectorAll("sup")) mark.textContent = ` [${mark.textContent}]`;
  for (const line of copy.querySelectorAll("br, .beside")) line.before(" ");
  return copy;
}

const formats = {
  // A spreadsheet would run what begins like a formula.
  csv(head, rows) {
    const guarded = (text) => (/^[=+\-@\t\r]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text);
    const quoted = (text) => `"${guarded(text).replaceAll('"', '""')}"`;
    return [head, ...rows.map((row) => row.map((cell) => (cell.value === undefined ? cell.text : cell.value)))]
      .map((row) => row.map(quoted).join(",")).join("\n") + "\n";
  },
  md(head, rows, notes) {
    const escaped = (text) => text.replace(/[\\|<>&*_`]/g, "\\$&");
    const line = (cells) => `| ${cells.map(escaped).join(" | ")} |`;
    return [line(head), `|${head.map(() => " --- |").join("")}`, ...rows.map((row) => line(row.map((cell) => cell.text))), ...notes.flatMap((note) => ["", escaped(note)])].join("\n") + "\n";
  },
  tex(head, rows, notes) {
    const special = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "<": "\\textless{}", ">": "\\textgreater{}" };
    const escaped = (text) => text.replace(/[\\~^<>]|[&%$#_{}]/g, (one) => special[one] || `\\${one}`)
      .replaceAll("\u2212", "$-$").replaceAll("\u2013", "--").replaceAll("\u00b1", "$\\pm$");
    const line = (cells) => `${cells.map(escaped).join(" & ")} \\\\`;
    return [`\\begin{tabular}{l${"r".repeat(head.length - 1)}}`, "\\hline", line(head), "\\hline",
      ...rows.map((row) => line(row.map((cell) => cell.text))), "\\hline", "\\end{tabular}",
      ...notes.map((note) => `\\par{\\footnotesize ${escaped(note)}}`)].join("\n") + "\n";
  },
};

function tools(place, buttons, inside = false) {
  const bar = document.createElement("div");
  bar.className = "tools";
  for (const [text, work] of buttons) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text;
    button.addEventListener("click", work);
    bar.append(button);
  }
  if (inside) place.prepend(bar);
  else place.before(bar);
}

document.querySelectorAll("table").forEach((table, number) => {
  const name = `${file}-${table.dataset.name || `table-${number + 1}`}`;
  tools(table.closest(".scroll") || table, [["CSV", "csv"], ["Markdown", "md"], ["LaTeX", "tex"]].map(([text, kind]) => [text, () => {
    const [head, ...rows] = lines(table);
    save(new Blob([formats[kind](head, rows, footnotes(table))], { type: "text/plain;charset=utf-8" }), `${name}.${kind}`);
  }]));
});

const drawn = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray", "font-family", "font-size", "font-weight", "text-anchor"];

// The drawing with the page's styles written into it, on its own background.
function standalone(svg) {
  const copy = svg.cloneNode(true);
  const parts = [...svg.querySelectorAll("*")];
  [...copy.querySelectorAll("*")].forEach((part, number) => {
    const style = getComputedStyle(parts[number]);
    for (const name of drawn) part.setAttribute(name, style.getPropertyValue(name));
    part.removeAttribute("class");
  });
  const [, , width, height] = svg.getAttribute("viewBox").split(" ");
  const ground = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  for (const [name, value] of [["width", width], ["height", height], ["fill", getComputedStyle(document.body).backgroundColor]]) ground.setAttribute(name, value);
  copy.prepend(ground);
  return [new XMLSerializer().serializeToString(copy), Number(width), Number(height)];
}

document.querySelectorAll(".figure > svg").forEach((svg, number) => {
  const name = `${file}-figure-${number + 1}`;
  tools(svg.parentNode, [
    ["SVG", () => save(new Blob([standalone(svg)[0]], { type: "image/svg+xml" }), `${name}.svg`)],
    ["PNG", () => {
      const [text, width, height] = standalone(svg);
      const image = new Image();
      image.onload = () => {
        const canvas = Object.assign(document.createElement("canvas"), { width: 2 * width, height: 2 * height });
        canvas.getContext("2d").drawImage(image, 0, 0, 2 * width, 2 * height);
        canvas.toBlob((blob) => save(blob, `${name}.png`));
      };
      image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
    }],
  ], true);
});
