// <counterfoil-board>: a live board for any page, and the parts that the page for stores shares with it. No build step, no
// dependencies. Usage: <script src="https://ranking.example/assets/board.js"></script>
// <counterfoil-board campaign="spring" window="week" limit="10" token="…"></counterfoil-board>
"use strict";
(() => {
  const FIRST_PAUSE_MS = 1000;
  const LONGEST_PAUSE_MS = 30000;
  const SILENCE_MS = 12000; // a freshness event comes every 5 s
  const SLIDE_MS = 300;
  const LATE_SECONDS = 10;
  const number = new Intl.NumberFormat();
  const percent = new Intl.NumberFormat(undefined, { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
  const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

  const element = (name, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  };

  /** Reads a stream of server-sent events with fetch, which can send a token; connects again by itself until aborted. */
  async function follow(address, { headers = {}, signal, onEvent, onState }) {
    let pause = FIRST_PAUSE_MS;
    let lastId = "";
    while (!signal.aborted) {
      const attempt = new AbortController();
      const stop = () => attempt.abort();
      signal.addEventListener("abort", stop);
      try {
        const sent = lastId ? { ...headers, "Last-Event-ID": lastId } : headers;
        const response = await fetch(address, { headers: sent, signal: attempt.signal, cache: "no-store" });
        if (!response.ok) {
          const problem = await response.json().catch(() => ({}));
          onState({ problem: problem.errors?.[0]?.message ?? problem.detail ?? response.statusText, status: response.status });
          if (response.status < 500) return;
          throw new Error("unavailable");
        }
        pause = FIRST_PAUSE_MS;
        await readEvents(response.body, attempt, (event) => {
          if (event.id) lastId = event.id;
          onEvent(event.name, JSON.parse(event.data));
        });
        throw new Error("ended");
      } catch {
        if (signal.aborted) return;
        onState({ interrupted: true });
      } finally {
        signal.removeEventListener("abort", stop);
      }
      await new Promise((done) => setTimeout(done, pause * (0.5 + Math.random() / 2)));
      pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
    }
  }

  async function readEvents(body, attempt, take) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const silence = setTimeout(() => attempt.abort(), SILENCE_MS);
      const { value, done } = await reader.read().finally(() => clearTimeout(silence));
      if (done) return;
      text += value;
      for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
        take(parseEvent(text.slice(0, end)));
        text = text.slice(end + 2);
      }
    }
  }

  function parseEvent(text) {
    const event = { name: "message", id: "", data: "" };
    for (const line of text.split("\n")) {
      const [, field, value] = /^(\w+): ?(.*)$/.exec(line) ?? [];
      if (field === "event") event.name = value;
      else if (field === "id") event.id = value;
      else if (field === "data") event.data += value;
    }
    return event;
  }

  /** "as of 14:02:07 · 1 s behind", kept up to date; `late` past ten seconds, with the reason. The time is isolated (U+2068):
      the reader's language may write it from right to left. */
  class Freshness {
    constructor(target) {
      this.target = target;
      this.timer = setInterval(() => this.show(), 1000);
    }
    take({ as_of, lag_seconds }) {
      this.asOf = new Date(as_of);
      this.behindAtReceipt = lag_seconds;
      this.receivedAt = performance.now();
      this.interrupted = false;
      this.show();
    }
    interrupt() {
      this.interrupted = true;
      this.show();
    }
    show() {
      if (!this.asOf) {
        this.target.textContent = this.interrupted ? "no connection, trying again …" : "connecting …";
        return;
      }
      const behind = Math.round(this.behindAtReceipt + (performance.now() - this.receivedAt) / 1000);
      const late = behind > LATE_SECONDS;
      const reason = this.interrupted ? " · the connection is interrupted" : late ? " · results arrive late" : "";
      this.target.textContent = `as of \u2068${clock.format(this.asOf)}\u2069 · ${behind} s behind${reason}`;
      this.target.classList.toggle("late", late || this.interrupted);
    }
    /** Nothing more will come: what was said of freshness is taken away. */
    stop() {
      clearInterval(this.timer);
      this.target.textContent = "";
      this.target.classList.remove("late");
    }
  }

  function movementParts({ from, change }) {
    if (change === null) return from === null ? ["new", "new", ""] : ["–", "not ranked now", ""];
    if (change === 0) return ["–", "unchanged", ""];
    return change > 0 ? [`▲ ${change}`, `up ${change}`, "up"] : [`▼ ${-change}`, `down ${-change}`, "down"];
  }

  function movementCell({ rank, movement }) {
    const [shown, said, name] = rank === null ? ["–", "not ranked", ""] : movementParts(movement);
    const cell = element("td", { className: "figure" });
    cell.append(element("span", { textContent: shown, className: name, ariaHidden: "true" }));
    cell.append(element("span", { textContent: said, className: "unseen" }));
    return cell;
  }

  function fillRow(line, row, { by, mark, onPick }) {
    const name = onPick
      ? element("button", { type: "button", textContent: row.store_name, dir: "auto", onclick: () => onPick(row) })
      : element("span", { textContent: row.store_name, dir: "auto" });
    const score = by === "rate" ? percent.format(row.rate ?? 0) : number.format(row.score);
    const text = JSON.stringify([row, by, mark === row.store_id]);
    if (line.dataset.text === text) return;
    const focused = line.contains(line.getRootNode().activeElement);
    line.dataset.text = text;
    line.className = mark === row.store_id ? "marked" : "";
    line.replaceChildren(
      element("td", { className: "figure", textContent: row.rank === null ? "–" : number.format(row.rank) }),
      element("td", { className: "name" }, name),
      movementCell(row),
      element("td", { className: "figure", textContent: score }),
    );
    if (mark === row.store_id) line.setAttribute("aria-current", "true");
    else line.removeAttribute("aria-current");
    if (focused) name.focus();
  }

  function emptyTable(caption, by) {
    const heads = ["Rank", "Store", "Change", by === "rate" ? "Rate" : "Redeemed"];
    const head = element("tr", {}, ...heads.map((text, place) =>
      element("th", { scope: "col", textContent: text, className: place === 1 ? "" : "figure" })));
    const title = element("caption", { className: "unseen", textContent: caption });
    return element("table", {}, title, element("thead", {}, head), element("tbody"));
  }

  /** Draws rows into a target, each store's row kept; rows that change place slide there, unless motion is to be reduced. */
  function drawRows(target, rows, options) {
    if (!rows.length) {
      target.replaceChildren(element("p", { className: "empty", textContent: options.empty }));
      return;
    }
    let table = target.querySelector("table");
    if (!table || table.dataset.by !== options.by || table.classList.contains("ghost")) {
      table = emptyTable(options.caption, options.by);
      table.dataset.by = options.by;
      target.replaceChildren(table);
    }
    table.caption.textContent = options.caption;
    const body = table.tBodies[0];
    const known = new Map([...body.rows].map((line) => [line.dataset.store, line]));
    const before = new Map([...known].map(([store, line]) => [store, line.getBoundingClientRect().top]));
    const lines = rows.map((row) => {
      const line = known.get(row.store_id) ?? element("tr");
      line.dataset.store = row.store_id;
      fillRow(line, row, options);
      return line;
    });
    placeLines(body, lines);
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches) slide(lines, before);
  }

  function placeLines(body, lines) {
    const kept = new Set(lines);
    for (const line of [...body.rows]) if (!kept.has(line)) line.remove();
    lines.forEach((line, place) => {
      if (body.rows[place] !== line) body.insertBefore(line, body.rows[place] ?? null);
    });
  }

  function slide(lines, before) {
    const moves = lines.map((line) => (before.get(line.dataset.store) ?? NaN) - line.getBoundingClientRect().top);
    lines.forEach((line, place) => {
      if (Math.abs(moves[place]) > 1) {
        line.animate([{ transform: `translateY(${moves[place]}px)` }, { transform: "none" }], { duration: SLIDE_MS, easing: "ease-out" });
      }
    });
  }

  /** The page's own shape while nothing is known yet. */
  function drawGhost(target, lines) {
    const body = element("tbody");
    for (let line = 0; line < lines; line += 1) body.append(element("tr", {}, element("td", {}, element("span"))));
    const table = element("table", { className: "ghost", ariaHidden: "true" }, body);
    target.replaceChildren(table);
  }

  const STYLE = `
    :host { display: block; color-scheme: light dark; color: var(--counterfoil-text, light-dark(#1b1f24, #eceae4));
      background: var(--counterfoil-ground, light-dark(#fbfaf7, #14171a)); font: 16px/1.5 system-ui, sans-serif;
      font-variant-numeric: tabular-nums; }
    table { width: 100%; border-collapse: collapse; }
    p { margin: 0; padding: 12px 4px; }
    th { font-size: 14px; font-weight: 400; text-align: start; padding: 8px 4px; color: light-dark(#5a5f66, #a7abb0); }
    td { padding: 8px 4px; border-block-start: 1px solid light-dark(#d9d5cc, #2c3238); }
    td.name { width: 100%; overflow-wrap: anywhere; }
    .figure { text-align: end; white-space: nowrap; }
    tr.marked td { background: light-dark(#e9f1ec, #1c2a25); }
    tr.marked td.name { font-weight: 600; }
    .up { color: var(--counterfoil-accent, light-dark(#0b6e4f, #5cc9a0)); }
    .down { color: light-dark(#5a5f66, #a7abb0); }
    .fresh { padding: 4px; font-size: 14px; color: light-dark(#5a5f66, #a7abb0); }
    .fresh:empty { display: none; }
    .fresh.late { color: light-dark(#8a5a00, #e5b567); }
    .ghost span { display: inline-block; width: 60%; height: 12px; border-radius: 6px; background: light-dark(#d9d5cc, #2c3238); }
    .unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }`;
  const OWN_ADDRESS = document.currentScript ? new URL(document.currentScript.src).origin : location.origin;

  class CounterfoilBoard extends HTMLElement {
    static observedAttributes = ["src", "campaign", "window", "scope", "by", "date", "limit", "token", "store"];

    connectedCallback() {
      if (!this.shadowRoot) {
        const sheet = new CSSStyleSheet();
        sheet.replaceSync(STYLE);
        this.attachShadow({ mode: "open" }).adoptedStyleSheets = [sheet];
        this.rows = element("div");
        this.fresh = element("p", { className: "fresh" });
        this.shadowRoot.append(this.rows, this.fresh);
      }
      this.begin();
    }

    disconnectedCallback() {
      this.running?.abort();
      this.freshness?.stop();
    }

    attributeChangedCallback(_name, before, now) {
      if (this.isConnected && this.shadowRoot && before !== now) this.begin();
    }

    begin() {
      this.disconnectedCallback();
      this.running = new AbortController();
      this.freshness = new Freshness(this.fresh);
      drawGhost(this.rows, 5);
      const campaign = this.getAttribute("campaign") ?? "";
      const address = new URL(`/v1/campaigns/${encodeURIComponent(campaign)}/leaderboard/live`, this.getAttribute("src") ?? OWN_ADDRESS);
      for (const name of ["window", "scope", "by", "date", "limit"]) {
        if (this.hasAttribute(name)) address.searchParams.set(name, this.getAttribute(name));
      }
      const token = this.getAttribute("token");
      follow(address, {
        headers: token ? { Authorization: `Bearer ${token}` } : {},
        signal: this.running.signal,
        onEvent: (name, data) => this.take(name, data),
        onState: (state) => this.tell(state),
      });
    }

    take(name, data) {
      this.freshness.take(data);
      if (name !== "leaderboard") return;
      const options = { by: data.by, mark: this.getAttribute("store"), caption: this.getAttribute("label") ?? "Leaderboard", empty: "Nothing was redeemed yet." };
      drawRows(this.rows, data.rows, options);
      this.dispatchEvent(new CustomEvent("change", { detail: data }));
    }

    tell(state) {
      if (!state.problem) this.freshness.interrupt();
      else {
        this.rows.replaceChildren(element("p", { role: "alert", textContent: state.problem }));
        if (state.status < 500) this.freshness.stop();
      }
    }
  }

  customElements.define("counterfoil-board", CounterfoilBoard);
  window.Counterfoil = { drawGhost, drawRows, element, follow, Freshness, movementParts, number, percent };
})();
