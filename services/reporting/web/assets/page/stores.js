// The table of stores: sorted by any column, found by name, with bars in its cells.

(() => {
"use strict";
const number = new Intl.NumberFormat();
const share = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
const COLUMNS = [
  ["rank", "Rank", "figure"], ["store_name", "Store", "name"], ["chain", "Chain", ""], ["region", "Region", ""], ["issued", "Issued", "figure"],
  ["redeemed", "Redeemed", "figure bar"], ["rate", "Rate", "figure"], ["reversed", "Reversed", "figure"], ["outstanding", "Outstanding", "figure"],
  ["unique_players", "Players", "figure"], ["rejected", "Refused", "figure"],
];
const PAGE = 50;
let rows = [], shown = PAGE, sorted = { column: "rank", down: false };

async function showStores() {
  const head = document.querySelector("#stores thead tr");
  COLUMNS.forEach(([column, title, kind]) => {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.className = kind;
    const button = document.createElement("button");
    button.textContent = title;
    button.onclick = () => { sorted = { column, down: sorted.column === column ? !sorted.down : kind.includes("figure") && column !== "rank" }; draw(); };
    cell.dataset.column = column;
    cell.append(button);
    head.append(cell);
  });
  document.getElementById("find").oninput = () => { shown = PAGE; draw(); };
  document.getElementById("more").onclick = () => { shown += 200; draw(); };
  try {
    rows = (await window.headOffice.read(window.headOffice.address("performance.json"))).items;
    draw();
  } catch (error) {
    document.getElementById("found").textContent = `The stores could not be read: ${error.message}`;
  }
}

function compared(a, b) {
  const [x, y] = [a[sorted.column], b[sorted.column]];
  if (x == null || y == null) return (x == null) - (y == null);
  const order = typeof x === "number" ? x - y : String(x).localeCompare(String(y));
  return sorted.down ? -order : order;
}

function draw() {
  const wanted = document.getElementById("find").value.trim().toLowerCase();
  const found = rows.filter((row) => !wanted || [row.store_id, row.store_name, row.chain, row.region].some((text) => text?.toLowerCase().includes(wanted)));
  found.sort(compared);
  const high = Math.max(1, ...rows.map((row) => row.redeemed));
  document.querySelector("#stores tbody").replaceChildren(...found.slice(0, shown).map((row) => lineOf(row, high)));
  document.getElementById("found").textContent = found.length === rows.length ? `${number.format(rows.length)} stores` : `${number.format(found.length)} of ${number.format(rows.length)} stores`;
  document.getElementById("more").hidden = found.length <= shown;
  for (const cell of document.querySelectorAll("#stores th")) {
    cell.setAttribute("aria-sort", cell.dataset.column === sorted.column ? (sorted.down ? "descending" : "ascending") : "none");
  }
}

function lineOf(row, high) {
  const line = document.createElement("tr");
  for (const [column, , kind] of COLUMNS) {
    const cell = line.insertCell();
    cell.className = kind;
    const value = column === "store_name" ? row.store_name || row.store_id : row[column];
    cell.textContent = value == null ? "–" : column === "rate" ? `${share.format(100 * value)}\u202f%` : typeof value === "number" ? number.format(value) : value;
    if (column === "store_name") cell.title = `${row.store_id}: ${value}`;
    if (kind.includes("bar")) {
      const track = document.createElement("span");
      track.className = "in-cell";
      const bar = document.createElement("i");
      bar.style.width = `${100 * value / high}%`;
      track.append(bar);
      cell.append(track);
    }
  }
  return line;
}

window.headOffice = { ...window.headOffice, showStores };
})();
