// The charts of the page, from the same data as the service's pictures: lines and columns by uPlot, bars and the week by elements.

(() => {
"use strict";
const number = new Intl.NumberFormat();
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const series = (n) => color(`--s${n % 7 + 1}`);

function drawChart(plot, name, chart) {
  plot.replaceChildren();
  if (!chart.rows.length || !chart.rows.some((row) => row.slice(1).some((value) => typeof value === "number" && value !== 0))) {
    const empty = document.createElement("p");
    empty.className = "empty";
    empty.textContent = name === "outcomes" ? "Nothing to show: every request was good." : "Nothing to show yet. It fills as soon as codes are redeemed.";
    plot.append(empty);
    return;
  }
  ({
    "top-stores": () => drawBars(plot, chart.rows.map((row) => [row[1], row[2]])),
    "share": () => drawBars(plot, chart.rows.map((row) => [row[0], row[1], row[2]])),
    "heatmap": () => drawHeat(plot, chart.rows),
    "daily": () => drawDaily(plot, chart),
    "outcomes": () => drawStack(plot, chart),
    "rank-history": () => drawRanks(plot, chart),
    "burn-down": () => drawLine(plot, chart),
    "rates": () => drawColumns(plot, chart.rows.map((row) => row[0]), chart.rows.map((row) => row[2]), "From", "stores"),
    "days-to-redeem": () => drawColumns(plot, chart.rows.map((row) => String(row[0]).replace(" and more", "+")), chart.rows.map((row) => row[1]), "Days", "redemptions"),
  })[name]();
}

function drawBars(plot, rows) {
  const shown = rows.slice(0, 12);
  const high = Math.max(...shown.filter((row) => !/^[\d,]+ more$/.test(row[0])).map((row) => row[1]));
  const list = document.createElement("div");
  list.className = "bars";
  shown.forEach(([name, value, share], n) => {
    const label = document.createElement("span");
    label.className = "name";
    label.textContent = name;
    label.title = name;
    const track = document.createElement("span");
    const bar = document.createElement("div");
    bar.className = n ? "bar" : "bar first";
    bar.style.width = `${Math.min(100, 100 * value / high)}%`;
    track.append(bar);
    const figure = document.createElement("span");
    figure.className = "value";
    figure.textContent = share ? `${parseFloat(share).toLocaleString(undefined, { maximumFractionDigits: 1 })}\u202f%` : number.format(value);
    list.append(label, track, figure);
  });
  plot.append(list);
}

function drawHeat(plot, rows) {
  const high = Math.max(...rows.flatMap((row) => row.slice(1)));
  const grid = document.createElement("div");
  grid.className = "heat";
  ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"].forEach((day, d) => {
    const label = document.createElement("span");
    label.textContent = day;
    grid.append(label);
    rows.forEach((row) => {
      const cell = document.createElement("span");
      cell.className = "cell";
      cell.style.opacity = String(0.06 + 0.94 * Math.max(0, row[d + 1]) / high);
      cell.title = `${day} ${row[0]}: ${number.format(row[d + 1])}`;
      grid.append(cell);
    });
  });
  grid.append(document.createElement("span"));
  rows.forEach((row, hour) => {
    const label = document.createElement("span");
    label.textContent = hour % 6 ? "" : row[0].slice(0, 2);
    grid.append(label);
  });
  plot.append(grid);
}

// A day as the middle of that day in UTC: the axis is drawn in UTC, so that a label is the campaign's day in every reader's zone.
const seconds = (day) => Date.parse(`${day}T12:00:00Z`) / 1000;

// Where a day's label stands: in the middle of every day, of one in so many, or of the first of a month, as there is room.
function middays(_, __, low, high, step) {
  const every = Math.max(1, Math.round(step / 86_400)), months = Math.max(1, Math.round(every / 30)), found = [];
  for (let at = Math.ceil(low / 86_400) * 86_400 + 43_200, n = 0; at <= high; at += 86_400, n += 1) {
    const of = new Date(at * 1000);
    if (every < 28 ? n % every === 0 : of.getUTCDate() === 1 && of.getUTCMonth() % months === 0) found.push(at);
  }
  return found;
}

// Steps of an axis of counts: 1, 2 and 5 times a power of ten.
const WHOLE = Array.from({ length: 30 }, (_, n) => [1, 2, 5][n % 3] * 10 ** Math.floor(n / 3));

function base(plot, { y = "", legend = true, ...more }) {
  const axis = { stroke: color("--muted"), grid: { stroke: color("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
  return {
    width: Math.max(280, plot.clientWidth), height: 250, tzDate: (ts) => uPlot.tzDate(new Date(ts * 1000), "Etc/UTC"),
    legend: { show: legend }, cursor: { y: false, points: { size: 7 } }, padding: [10, 22, 0, 0],
    axes: [{ ...axis, grid: { show: false }, space: 64, splits: middays, values: (_, ticks) => ticks.map((t) => day.format(t * 1000)) }, { ...axis, size: 64, incrs: WHOLE, label: y, labelSize: 18, labelFont: "12px system-ui", values: (_, ticks) => ticks.map((t) => number.format(t)) }],
    ...more,
  };
}

const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", timeZone: "UTC" });
const along = { range: (_, low, high) => [low - 43_200, high + 43_200] };
const bars = (gap = 0.7) => uPlot.paths.bars({ size: [gap, 80] });
const figure = (_, value) => (value == null ? "–" : number.format(value));
const dated = { label: "Day", value: (_, value) => (value == null ? "–" : new Date(value * 1000).toLocaleDateString(undefined, { timeZone: "UTC", day: "numeric", month: "short", year: "numeric" })) };

// The legend says what is under the pointer; without one, what is at `rest`: the last day, or the highest column.
function place(plot, options, data, rest = data[0].length - 1) {
  const say = (chart) => { if (chart.cursor.idx == null) chart.setLegend({ idx: rest }, false); };
  const chart = new uPlot({ ...options, hooks: { ...options.hooks, ready: [say], setLegend: [say] } }, data, plot);
  new ResizeObserver(() => chart.setSize({ width: Math.max(280, plot.clientWidth), height: 250 })).observe(plot);
}

function drawDaily(plot, chart) {
  const axis = base(plot, { y: "redemptions" });
  axis.axes.push({ ...axis.axes[1], side: 1, scale: "all", label: "in all", grid: { show: false } });
  place(plot, {
    ...axis, scales: { x: along, y: { range: (_, low, high) => [Math.min(0, low), Math.max(1, high * 1.08)] }, all: { range: (_, low, high) => [0, Math.max(1, high * 1.08)] } },
    series: [dated, { label: "Redeemed", fill: color("--rest"), paths: bars(), points: { show: false }, value: figure },
      { label: "In all", scale: "all", stroke: color("--s2"), width: 2, points: { show: chart.rows.length < 2 }, value: figure }],
  }, [chart.rows.map((row) => seconds(row[0])), chart.rows.map((row) => row[1]), chart.rows.map((row) => row[2])]);
}

function drawStack(plot, chart) {
  const reasons = chart.columns.slice(1);
  const sums = reasons.map(() => []);
  for (const row of chart.rows) {
    let sum = 0;
    reasons.forEach((_, n) => { sum += row[n + 1]; sums[n].push(sum); });
  }
  const order = reasons.map((_, n) => n).reverse();
  place(plot, {
    ...base(plot, { y: "refused", legend: false }), scales: { x: along, y: { range: (_, low, high) => [0, Math.max(1, high * 1.05)] } },
    series: [dated, ...order.map((n) => ({ label: reasons[n], fill: series(n), paths: bars(), points: { show: false } }))],
  }, [chart.rows.map((row) => seconds(row[0])), ...order.map((n) => sums[n])]);
  const legend = document.createElement("div");
  legend.className = "legend";
  reasons.forEach((reason, n) => {
    const entry = document.createElement("span");
    entry.className = `k${n % 7 + 1}`;
    entry.textContent = reason;
    legend.append(entry);
  });
  plot.append(legend);
}

function drawRanks(plot, chart) {
  const stores = chart.columns.slice(1);
  const room = Math.min(150, plot.clientWidth / 3);
  const options = base(plot, { y: "rank", legend: false, padding: [10, room, 0, 0] });
  const lowest = Math.min(15, Math.max(2, ...chart.rows.flatMap((row) => row.slice(1)).filter((rank) => rank != null)));
  options.scales = { x: along, y: { dir: -1, range: () => [0.5, lowest + 0.5] } };
  options.axes[1].splits = () => [1, 5, 10, 15].filter((rank) => rank <= lowest);
  options.axes[1].values = (_, ticks) => ticks.map(String);
  place(plot, {
    ...options, hooks: { draw: [(ranks) => nameLines(ranks, room)] },
    series: [dated, ...stores.map((store, n) => ({ label: store, stroke: n < 3 ? series(n) : color("--rest"), width: n < 3 ? 2.5 : 1.5, points: { show: chart.rows.length < 2 }, value: figure }))],
  }, [chart.rows.map((row) => seconds(row[0])), ...stores.map((_, n) => chart.rows.map((row) => row[n + 1]))]);
}

// Names at the ends of the lines, moved apart where ranks are shared, shortened to the room beside the chart.
function nameLines(chart, room) {
  const { ctx, bbox } = chart, ratio = devicePixelRatio, gap = 14 * ratio;
  const ends = chart.series.map((line, n) => ({ line, n, rank: n ? chart.data[n].at(-1) : null })).filter((end) => end.rank != null);
  ends.sort((a, b) => a.rank - b.rank || a.n - b.n);
  ctx.save();
  ctx.font = `${12 * ratio}px system-ui`;
  ctx.textAlign = "left";
  ctx.textBaseline = "middle";
  let above = -gap;
  for (const { line, n, rank } of ends) {
    const y = Math.max(chart.valToPos(rank, "y", true), above + gap);
    if (y > bbox.top + bbox.height + gap) break;
    let name = line.label;
    while (name.length > 1 && ctx.measureText(name).width > (room - 12) * ratio) name = `${name.replace("…", "").slice(0, -1).trimEnd()}…`;
    ctx.fillStyle = color(["--accent", "--amber", "--s3"][n - 1] ?? "--muted");
    ctx.fillText(name, bbox.left + bbox.width + 8 * ratio, y);
    above = y;
  }
  ctx.restore();
}

function drawLine(plot, chart) {
  place(plot, {
    ...base(plot, { y: "codes left" }), scales: { x: along, y: { range: (_, low, high) => [0, Math.max(1, high * 1.05)] } },
    series: [dated, { label: "Codes left", stroke: color("--accent"), fill: color("--tint"), width: 2, points: { show: chart.rows.length < 2 }, value: figure }],
  }, [chart.rows.map((row) => seconds(row[0])), chart.rows.map((row) => row[1])]);
}

function drawColumns(plot, labels, values, x, y) {
  const options = base(plot, { y });
  const every = () => Math.max(1, Math.ceil(labels.length * 48 / Math.max(240, plot.clientWidth - 64)));
  options.scales = { x: { time: false, range: [-0.6, labels.length - 0.4] }, y: { range: (_, low, high) => [0, Math.max(1, high * 1.05)] } };
  options.axes[0].splits = () => labels.map((_, n) => n).filter((n) => n % every() === 0);
  options.axes[0].values = (_, ticks) => ticks.map((n) => labels[n]);
  place(plot, {
    ...options, series: [{ label: x, value: (_, n) => (n == null ? "–" : labels[n]) }, { label: y, fill: color("--accent"), paths: bars(0.85), points: { show: false }, value: figure }],
  }, [labels.map((_, n) => n), values], values.indexOf(Math.max(...values)));
}

window.headOffice = { ...window.headOffice, drawChart };
})();
