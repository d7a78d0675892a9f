"use strict";
// Behaviour of a page beyond links and forms. Pages work without it, except for functions that need a script.

// "/" moves to the search field, unless a person types elsewhere.
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    const field = document.getElementById("search");
    if (field) {
      event.preventDefault();
      field.focus();
      field.select();
    }
  }
});

// Buttons that copy a command.
for (const button of document.querySelectorAll("[data-copy]")) button.hidden = !navigator.clipboard;
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  const before = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = before; }, 1500);
});

// Charts: the numbers of each chart's table, drawn as lines.
const LINES = ["--p0", "--p1", "--p2"];

function readSeries(table) {
  const columns = [...table.rows].slice(1).map((row) => [
    Date.parse(row.querySelector("time").dateTime) / 1000,
    ...[...row.querySelectorAll("[data-value]")].map((cell) => (cell.dataset.value === "" ? null : Number(cell.dataset.value))),
  ]);
  return columns[0] ? columns[0].map((_, place) => columns.map((row) => row[place])) : [];
}

function drawChart(figure) {
  const table = figure.querySelector("table.series");
  const box = figure.querySelector(".plot");
  if (!table || !box || !box.clientWidth) return;
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const titles = [...table.tHead.querySelectorAll("th.n")].map((head) => head.textContent);
  const data = readSeries(table);
  const span = Number(figure.dataset.span);
  if (box.plot && box.plot.series.length === titles.length + 1) {
    box.span = span;
    box.plot.setData(data);
    return;
  }
  box.span = span;
  box.replaceChildren();
  const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
  const units = [...table.querySelectorAll("[data-value]:not([data-value=''])")].slice(-1);
  const unit = units.length ? units[0].textContent.replace(/^[\d.,\s–-]+/, "") : "";
  box.plot = new uPlot({
    width: box.clientWidth,
    height: 170,
    scales: { x: { range: () => [Date.now() / 1000 - box.span, Date.now() / 1000] } },
    cursor: { drag: { x: false, y: false } },
    legend: { show: titles.length > 1, live: false },
    series: [{}, ...titles.map((title, place) => ({ label: title, stroke: colour(LINES[place % 3]), width: 1.5, spanGaps: false }))],
    axes: [{ ...axis, values: (_, ticks) => ticks.map((tick) => shownMoment(tick, span)) }, { ...axis, size: 76, values: (_, ticks) => ticks.map((tick) => shownTick(tick, unit)) }],
  }, data, box);
}

function shownTick(tick, unit) {
  const scales = { GiB: 2 ** 30, MiB: 2 ** 20, KiB: 2 ** 10, "%": 0.01 };
  return `${Number((tick / (scales[unit] || 1)).toPrecision(3))}${unit ? ` ${unit}` : ""}`;
}

function shownMoment(seconds, span) {
  const moment = new Date(seconds * 1000);
  const two = (number) => String(number).padStart(2, "0");
  const clock = `${two(moment.getHours())}:${two(moment.getMinutes())}`;
  return span > 172800 ? `${two(moment.getMonth() + 1)}-${two(moment.getDate())}` : clock;
}

function drawCharts() {
  if (typeof uPlot !== "undefined") for (const figure of document.querySelectorAll("figure.chart")) drawChart(figure);
}

document.addEventListener("DOMContentLoaded", drawCharts);
document.addEventListener("htmx:after:swap", drawCharts);
window.addEventListener("resize", () => {
  for (const box of document.querySelectorAll(".plot")) if (box.plot) box.plot.setSize({ width: box.clientWidth, height: 170 });
});

// Times shown as ages are updated regularly.
const UNITS = [["d", 86400], ["h", 3600], ["min", 60]];

function age(seconds) {
  for (const [unit, length] of UNITS) if (seconds >= 2 * length) return `${Math.round(seconds / length)} ${unit} ago`;
  return seconds < 60 ? "just now" : "1 min ago";
}

setInterval(() => {
  for (const time of document.querySelectorAll("time[datetime]")) {
    const text = age((Date.now() - Date.parse(time.dateTime)) / 1000);
    if (time.textContent !== text) time.textContent = text;
  }
}, 15000);

// Without the stream, the page shows old values.
const NOT_STREAMED = {
  503: "Too many pages of this dashboard are open, so this one is not kept up to date. Close some, and load it again.",
};

function tellAway(status) {
  const told = document.createElement("p");
  told.className = "away";
  told.textContent = NOT_STREAMED[status] || "The dashboard's server does not answer. Values are from before.";
  document.getElementById("broker").replaceChildren(told);
}

document.addEventListener("htmx:sse:error", (event) => tellAway(event.detail.status));
document.addEventListener("htmx:response:error", (event) => {
  if (event.target.id === "live") tellAway(event.detail.ctx.response.status);
});

// A page opened in the background, which nobody has seen yet, requests its stream when it is first shown:
// a browser has six connections to a server, and a stream takes one.
document.addEventListener("htmx:before:request", (event) => {
  if (document.hidden && event.target.id === "live") event.preventDefault();
});
document.addEventListener("visibilitychange", () => {
  const live = document.getElementById("live");
  if (live && !document.hidden) htmx.trigger(live, "shown");
});

// Arrow keys move between the rows of a table, as Tab would stop at every link and box.
document.addEventListener("keydown", (event) => {
  const row = event.target.closest("tbody tr");
  if (!row || !["ArrowDown", "ArrowUp"].includes(event.key) || event.target.matches("input:not([type=checkbox])")) return;
  const next = event.key === "ArrowDown" ? row.nextElementSibling : row.previousElementSibling;
  const place = [...row.querySelectorAll("a, input")].indexOf(event.target);
  const target = next && (next.querySelectorAll("a, input")[place] || next.querySelector("a, input"));
  if (target) {
    event.preventDefault();
    target.focus();
  }
});
