// What the pages do beyond htmx: times and numbers as the reader writes them, live progress, dropping a file, errors in words.
"use strict";

const numbers = new Intl.NumberFormat();
const long = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const short = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

function localise(root) {
  for (const element of root.querySelectorAll("time[datetime]")) {
    const format = element.dataset.form === "time" ? short : long;
    element.textContent = format.format(new Date(element.dateTime));
  }
}

function show(row, batch) {
  for (const name of ["generated", "loaded", "verified"]) {
    row.querySelector(`[data-bar=${name}]`)?.setAttribute("width", String((100 * batch[name]) / batch.count));
    const figure = row.querySelector(`[data-figure=${name}]`);
    if (figure) figure.textContent = numbers.format(batch[name]);
  }
  const speed = row.querySelector("[data-figure=speed]");
  const left = row.querySelector("[data-figure=left]");
  if (speed) speed.textContent = batch.rows_per_second ? ` · ${numbers.format(batch.rows_per_second)} a second` : "";
  if (left) left.textContent = batch.eta_seconds ? ` · ${numbers.format(batch.eta_seconds)} s left` : "";
}

function follow(root) {
  const rows = root.matches?.("[data-live]") ? [root] : root.querySelectorAll("[data-live]");
  for (const row of rows) {
    if (row.dataset.followed) continue;
    row.dataset.followed = "yes";
    const state = row.querySelector(".state")?.textContent.trim();
    const events = new EventSource(row.dataset.live);
    events.addEventListener("progress", (event) => {
      const batch = JSON.parse(event.data);
      if (!row.isConnected) return events.close();
      show(row, batch);
      if (batch.state !== state) {
        events.close();
        htmx.ajax("GET", row.dataset.refresh, { target: row, swap: "outerHTML" });
      }
    });
  }
}

function acceptDrops(form) {
  const area = form.querySelector(".drop");
  const input = form.querySelector("input[type=file]");
  for (const name of ["dragover", "dragleave", "drop"]) {
    area.addEventListener(name, (event) => {
      event.preventDefault();
      area.classList.toggle("over", name === "dragover");
      if (name === "drop" && event.dataTransfer.files.length) input.files = event.dataTransfer.files;
    });
  }
}

function tell(text) {
  const notice = document.getElementById("notice");
  if (!notice) return;
  notice.textContent = text;
  notice.hidden = false;
  setTimeout(() => { notice.hidden = true; }, 8000);
}

document.addEventListener("htmx:responseError", (event) => {
  const answer = event.detail.xhr;
  if (answer.status === 401 || answer.status === 403) return location.reload();
  let text = "Something went wrong here. Nothing is lost; try again in a moment.";
  try { text = JSON.parse(answer.responseText).detail || text; } catch { /* not a problem document */ }
  tell(text);
});
document.addEventListener("htmx:sendError", () => tell("The service cannot be reached. Nothing is lost; try again in a moment."));
document.addEventListener("htmx:load", (event) => { localise(event.detail.elt); follow(event.detail.elt); });

const menu = document.querySelector("[data-menu]");
const wide = matchMedia("(min-width: 900px)");
if (menu) {
  menu.open = wide.matches;
  wide.addEventListener("change", () => { menu.open = wide.matches; });
}
const zone = document.querySelector("[data-zone]");
if (zone) zone.value = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
document.querySelectorAll("[data-drop]").forEach(acceptDrops);
localise(document);
follow(document.documentElement);
