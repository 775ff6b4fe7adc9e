// A store's rank over time as a line: rank 1 on top, the last value labelled at its end, the same figures as a table.
"use strict";
(() => {
  const WIDTH = 360;
  const HEIGHT = 160;
  const EDGES = { top: 16, right: 44, bottom: 24, left: 44 };
  const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", timeZone: "UTC" });
  const { element, number } = window.Counterfoil;

  const svg = (name, attributes, text = "") => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.textContent = text;
    return made;
  };

  function sentence(ranked) {
    const [first, last] = [ranked[0], ranked.at(-1)];
    const best = Math.min(...ranked.map((one) => one.rank));
    const way = last.rank < first.rank ? "climbed" : last.rank > first.rank ? "went" : "stayed";
    const moved = way === "stayed" ? `stayed at ${number.format(last.rank)}` : `${way} from ${number.format(first.rank)} to ${number.format(last.rank)}`;
    return `Rank, all time: ${moved} since ${day.format(new Date(first.date))}; best ${number.format(best)}.`;
  }

  function plot(ranked) {
    const [worst, best] = [Math.max(...ranked.map((one) => one.rank)), Math.min(...ranked.map((one) => one.rank))];
    const start = Date.parse(ranked[0].date);
    const span = Math.max(1, Date.parse(ranked.at(-1).date) - start);
    const x = (one) => EDGES.left + ((Date.parse(one.date) - start) / span) * (WIDTH - EDGES.left - EDGES.right);
    const y = (rank) => EDGES.top + ((rank - best) / Math.max(1, worst - best)) * (HEIGHT - EDGES.top - EDGES.bottom);
    const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true" });
    for (const rank of new Set([best, worst])) {
      picture.append(svg("line", { x1: EDGES.left, x2: WIDTH - EDGES.right, y1: y(rank), y2: y(rank), class: "grid" }));
      picture.append(svg("text", { x: EDGES.left - 8, y: y(rank) + 4, "text-anchor": "end" }, number.format(rank)));
    }
    picture.append(svg("path", { d: ranked.map((one, place) => `${place ? "L" : "M"}${x(one).toFixed(1)} ${y(one.rank).toFixed(1)}`).join(""), class: "line" }));
    const last = ranked.at(-1);
    picture.append(svg("circle", { cx: x(last), cy: y(last.rank), r: 4, class: "dot" }));
    picture.append(svg("text", { x: x(last) + 8, y: y(last.rank) + 4, class: "end" }, number.format(last.rank)));
    picture.append(svg("text", { x: EDGES.left, y: HEIGHT - 4 }, day.format(new Date(ranked[0].date))));
    picture.append(svg("text", { x: WIDTH - EDGES.right, y: HEIGHT - 4, "text-anchor": "end" }, day.format(new Date(last.date))));
    return picture;
  }

  function table(days) {
    const head = element("tr", {}, ...["Day", "Rank", "Redeemed"].map((text, place) =>
      element("th", { scope: "col", textContent: text, className: place ? "figure" : "" })));
    const lines = days.map((one) => element("tr", {},
      element("td", { textContent: day.format(new Date(one.date)) }),
      element("td", { className: "figure", textContent: one.rank === null ? "–" : number.format(one.rank) }),
      element("td", { className: "figure", textContent: number.format(one.score) })));
    return element("table", {}, element("thead", {}, head), element("tbody", {}, ...lines));
  }

  function draw(figure, past) {
    const ranked = past.days.filter((one) => one.rank !== null);
    figure.querySelector("figcaption").textContent = sentence(ranked);
    figure.querySelector(".plot").replaceChildren(plot(ranked));
    figure.querySelector(".figures").replaceChildren(table(past.days));
  }

  window.CounterfoilLine = { draw };
})();
