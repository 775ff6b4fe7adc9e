// Downloads that say how far they are, and can be stopped.

(() => {
"use strict";
const size = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });

function followDownloads() {
  for (const link of document.querySelectorAll("a.download")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      load(link);
    });
  }
}

async function load(link) {
  const said = link.parentElement.querySelector(".progress");
  if (said.dataset.running) return;
  const stop = new AbortController();
  const button = document.createElement("button");
  button.className = "quiet";
  button.textContent = "Stop";
  button.onclick = () => stop.abort();
  said.dataset.running = "yes";
  said.replaceChildren("waiting … ", button);
  try {
    const answer = await fetch(link.href, { signal: stop.signal });
    if (!answer.ok) throw new Error((await answer.json()).detail);
    const parts = [];
    let bytes = 0;
    for (const reader = answer.body.getReader(); ;) {
      const { done, value } = await reader.read();
      if (done) break;
      parts.push(value);
      bytes += value.length;
      said.firstChild.textContent = `${size.format(bytes / 1e6)} MB `;
    }
    save(new Blob(parts), answer.headers.get("Content-Disposition"), link);
    said.textContent = `done, ${size.format(bytes / 1e6)} MB`;
  } catch (error) {
    said.textContent = error.name === "AbortError" ? "stopped" : `not loaded: ${error.message}`;
  }
  delete said.dataset.running;
}

function save(blob, disposition, link) {
  const anchor = document.createElement("a");
  anchor.href = URL.createObjectURL(blob);
  anchor.download = disposition?.match(/filename="([^"]+)"/)?.[1] ?? link.textContent;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(anchor.href), 10_000);
}

window.headOffice = { ...window.headOffice, followDownloads };
})();
