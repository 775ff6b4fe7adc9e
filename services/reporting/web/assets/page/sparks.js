// Small lines under the key figures.

(() => {
"use strict";
const SVG = "http://www.w3.org/2000/svg";

function frame(id) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 100 32");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  document.getElementById(id).replaceChildren(svg);
  return svg;
}

function spark(id, values) {
  if (values.length < 2) return;
  const high = Math.max(...values, 1e-9);
  const path = document.createElementNS(SVG, "path");
  const at = (value, n) => `${(100 * n / (values.length - 1)).toFixed(2)} ${(30 - 28 * value / high).toFixed(2)}`;
  path.setAttribute("d", `M${values.map(at).join("L")}`);
  frame(id).append(path);
}

function progress(id, part) {
  const svg = frame(id);
  for (const [name, width] of [["track", 100], ["done", 100 * Math.min(1, Math.max(0, part))]]) {
    const bar = document.createElementNS(SVG, "rect");
    bar.setAttribute("class", name);
    bar.setAttribute("y", "26");
    bar.setAttribute("height", "4");
    bar.setAttribute("width", width.toFixed(2));
    svg.append(bar);
  }
}

window.headOffice = { ...window.headOffice, spark, progress };
})();
