// The head-office page: reads figures and charts' data as JSON, draws them, and keeps the line of freshness up to date.

(async () => {
"use strict";
const { drawChart, showStores, followDownloads, spark, progress } = window.headOffice;
const main = document.getElementById("main");
const campaign = main.dataset.campaign;
const number = new Intl.NumberFormat();
const FILTERS = ["from", "to", "region", "chain", "store_id"];

function address(path, more = {}) {
  const query = new URLSearchParams();
  const here = new URLSearchParams(location.search);
  for (const name of FILTERS) if (here.get(name)) query.set(name, here.get(name));
  for (const [name, value] of Object.entries(more)) query.set(name, value);
  const text = query.toString();
  return `/v1/campaigns/${encodeURIComponent(campaign)}/${path}${text ? "?" + text : ""}`;
}

async function read(path) {
  const answer = await fetch(path, { headers: { Accept: "application/json" } });
  if (answer.status === 401) { location.reload(); throw new Error("signed out"); }
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.errors?.[0] ? `${body.errors[0].field} ${body.errors[0].message}` : body.detail);
  return body;
}

function say(id, text) {
  const node = document.getElementById(id);
  if (node && node.textContent !== text) node.textContent = text;
}

function percent(part, whole) {
  return whole ? `${new Intl.NumberFormat(undefined, { maximumFractionDigits: part / whole < 0.1 ? 1 : 0 }).format(100 * part / whole)}\u202f%` : "–";
}

// Campaigns end at the start of a day in their zone: the last day is the one before.
function lastDay(s) {
  return new Date(new Date(s.ends_at) - 1000).toLocaleDateString(undefined, { day: "numeric", month: "short", year: "numeric", timeZone: s.time_zone });
}

async function showSummary() {
  const fresh = document.getElementById("fresh");
  try {
    const s = await read(address("summary"));
    say("figure-redeemed", number.format(s.redeemed));
    say("remark-redeemed", `${number.format(s.reversed)} reversed, ${number.format(s.unique_players)} players`);
    say("figure-rate", percent(s.redeemed, s.issued));
    say("remark-rate", `of ${number.format(s.issued)} codes at ${number.format(s.stores)} ${s.stores === 1 ? "store" : "stores"}`);
    say("figure-outstanding", number.format(s.outstanding));
    say("remark-outstanding", `${number.format(s.void)} void, ${number.format(s.expired)} expired`);
    say("figure-days", number.format(s.days_left));
    say("remark-days", s.state === "ended" || s.state === "archived" ? "the campaign is over" : `until ${lastDay(s)}`);
    progress("spark-days", (Date.now() - new Date(s.starts_at)) / (new Date(s.ends_at) - new Date(s.starts_at)));
    const late = s.lag_seconds > 10;
    const behind = s.lag_seconds < 60 ? `${Math.round(s.lag_seconds)} s` : `${Math.round(s.lag_seconds / 60)} min`;
    fresh.textContent = `as of ${new Date(s.as_of).toLocaleTimeString()} · ${behind} behind${late ? ": figures are still being counted" : ""}`;
    fresh.classList.toggle("late", late);
    return s;
  } catch (error) {
    fresh.textContent = `the figures could not be read: ${error.message}`;
    fresh.classList.add("late");
    return null;
  }
}

async function showCharts(summary) {
  for (const figure of document.querySelectorAll(".chart")) {
    const name = figure.dataset.chart;
    for (const link of figure.querySelectorAll("a[data-kind]")) {
      const dark = link.dataset.kind === "svg" && matchMedia("(prefers-color-scheme: dark)").matches;
      link.href = address(`charts/${name}.${link.dataset.kind}`, dark ? { theme: "dark" } : {});
    }
    try {
      const chart = await read(address(`charts/${name}.json`));
      figure.querySelector(".headline").textContent = chart.headline;
      const plot = figure.querySelector(".plot");
      plot.setAttribute("aria-label", `${chart.title}: ${chart.headline}. ${chart.subtitle}`);
      drawChart(plot, name, chart);
      offerViews(figure, chart, figure.querySelector("a[data-kind=svg]").href);
      if (name === "daily") {
        spark("spark-redeemed", chart.rows.map((row) => row[2]));
        if (summary?.issued) spark("spark-rate", chart.rows.map((row) => row[2] / summary.issued));
      }
      if (name === "burn-down") spark("spark-outstanding", chart.rows.map((row) => row[1]));
    } catch (error) {
      figure.querySelector(".headline").textContent = `This chart could not be read: ${error.message}`;
    }
    figure.setAttribute("aria-busy", "false");
  }
}

// Three views of one chart: drawn here, as a table, and as the picture that files and reports have. A pressed button leads back.
function offerViews(figure, chart, picture) {
  const views = { plot: figure.querySelector(".plot"), data: figure.querySelector(".data"), picture: figure.querySelector(".picture") };
  const fill = {
    data: () => tableOf(chart),
    picture: () => {
      const image = document.createElement("img");
      image.alt = `${chart.title}: ${chart.headline}. ${chart.subtitle}`;
      image.src = picture;
      return image;
    },
  };
  const buttons = figure.querySelectorAll("button[data-view]");
  const show = (wanted) => {
    if (wanted !== "plot" && !views[wanted].firstChild) views[wanted].append(fill[wanted]());
    for (const [name, view] of Object.entries(views)) view.hidden = name !== wanted;
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.view === wanted));
  };
  for (const button of buttons) button.onclick = () => show(button.getAttribute("aria-pressed") === "true" ? "plot" : button.dataset.view);
}

function tableOf(chart) {
  const table = document.createElement("table");
  const caption = table.createCaption();
  caption.textContent = chart.headline;
  caption.className = "muted";
  const head = table.createTHead().insertRow();
  for (const column of chart.columns) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = column;
    head.append(cell);
  }
  const body = table.createTBody();
  for (const row of chart.rows) {
    const line = body.insertRow();
    for (const value of row) {
      const cell = line.insertCell();
      cell.textContent = typeof value === "number" ? number.format(value) : value ?? "–";
      if (typeof value === "number") cell.className = "figure";
    }
  }
  return table;
}

async function showRuns() {
  const body = document.querySelector("#runs tbody");
  if (!body) return;
  try {
    const runs = await read("/v1/jobs/runs?limit=12");
    body.replaceChildren(...runs.items.map((run) => {
      const line = document.createElement("tr");
      const seconds = run.finished_at ? ((new Date(run.finished_at) - new Date(run.started_at)) / 1000).toFixed(1) : "";
      const cells = [run.job, new Date(run.due_at).toLocaleString(), new Date(run.started_at).toLocaleString(), seconds, run.message || run.state];
      cells.forEach((text, n) => {
        const cell = line.insertCell();
        cell.textContent = text;
        if (n === 3) cell.className = "figure";
        if (n === 4 && run.state === "failed") cell.className = "alarm";
      });
      return line;
    }));
    const check = runs.items.find((run) => run.job === "identity" && run.finished_at) ?? runs.identity;
    const identity = document.getElementById("identity");
    identity.textContent = !check ? "Ledger, facts and ranking have not been compared yet." : check.message;
    identity.className = check?.state === "failed" ? "alarm" : "muted";
  } catch (error) {
    document.getElementById("identity").textContent = `The jobs could not be read: ${error.message}`;
  }
}

window.headOffice = { ...window.headOffice, read, address };
for (const link of document.querySelectorAll("a.download")) {
  link.href = address(link.getAttribute("href").split("/").pop());
}
if (main.dataset.refused === "yes") {
  document.getElementById("fresh").textContent = "the filters lead nowhere";
  main.dataset.ready = "yes";
  return;
}
const summary = await showSummary();
showStores();
showRuns();
followDownloads();
await showCharts(summary);
main.dataset.ready = "yes";
setInterval(() => { if (!document.hidden) showSummary(); }, 5000);
})();
