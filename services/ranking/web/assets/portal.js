// The page for stores: my standing, the live board, a store's line over time. What is shown is in the address.
"use strict";
(() => {
  const { drawGhost, drawRows, element, follow, Freshness, movementParts, number } = window.Counterfoil;
  const { ask, localDay, scopeOptions, share, zoneWords } = window.CounterfoilPage;
  const { drawSeal, emptyWords, factsSentence, gapSentence, named, rankSentence, unrankedWords } = window.CounterfoilWords;
  const PAGE_ROWS = 50;
  const MOST_ROWS = 1000;
  const SEARCH_MS = 250;
  const find = (id) => document.getElementById(id);
  const page = find("page");
  const ownStores = page.dataset.stores.split(" ").filter(Boolean);
  const address = new URLSearchParams(location.search);
  const DEFAULTS = { window: "day", scope: "all", by: "count" };
  const shown = {
    campaign: address.get("campaign"),
    window: address.get("window") ?? DEFAULTS.window,
    scope: address.get("scope") ?? DEFAULTS.scope,
    by: address.get("by") ?? DEFAULTS.by,
    date: address.get("date"),
    store: address.get("store") ?? ownStores[0] ?? null,
  };
  const fresh = new Freshness(find("fresh"));
  const state = { rows: PAGE_ROWS, campaigns: [], board: null, running: null, lastRank: null };

  const campaignPath = () => `/v1/campaigns/${encodeURIComponent(shown.campaign)}`;
  const question = () => ({ window: shown.window, scope: shown.scope, by: shown.by, date: shown.date });
  const campaign = () => state.campaigns.find((one) => one.id === shown.campaign);

  function tellTrouble(text) {
    find("trouble").textContent = text;
    find("trouble").hidden = !text;
  }

  function keepInAddress() {
    const kept = new URLSearchParams();
    for (const [name, value] of Object.entries(shown)) if (value && value !== DEFAULTS[name]) kept.set(name, value);
    history.replaceState(null, "", kept.size ? `?${kept}` : location.pathname);
  }

  // ---- the board

  function showBoard() {
    keepInAddress();
    tellTrouble("");
    showControls();
    state.running?.abort();
    state.running = new AbortController();
    if (!find("rows").firstChild) drawGhost(find("rows"), 8);
    const url = new URL(`${campaignPath()}/leaderboard/live`, location.origin);
    for (const [name, value] of Object.entries({ ...question(), limit: state.rows })) if (value) url.searchParams.set(name, value);
    follow(url, { signal: state.running.signal, onEvent: takeEvent, onState: takeState });
  }

  function takeEvent(name, data) {
    fresh.take(data);
    tellTrouble("");
    if (name !== "leaderboard") return;
    state.board = data;
    drawBoard();
    showMine();
  }

  function takeState({ problem, status }) {
    if (status === 401) location.reload();
    else if (problem && status < 500) tellTrouble(`This board cannot be shown: ${problem}.`);
    else {
      fresh.interrupt();
      tellTrouble("The connection is interrupted. The figures below are the last known ones; this page goes on by itself.");
    }
  }

  /** What the table says it is: days, stores and period, for who cannot see the controls around it. */
  const caption = () =>
    `${find("board-name").textContent}, ${find("scope").selectedOptions[0]?.textContent ?? shown.scope}, ${[...find("period").children].map((one) => one.textContent).join(", ")}`;

  function drawBoard() {
    const { board } = state;
    showPeriod();
    showSeal();
    if (find("search").value.trim()) {
      search();
      return;
    }
    drawRows(find("rows"), board.rows, {
      by: board.by,
      mark: shown.store,
      caption: caption(),
      empty: emptyWords(campaign()),
      onPick: (row) => pick(row.store_id),
    });
    find("more").hidden = board.rows.length >= board.total || state.rows >= MOST_ROWS;
    find("more").textContent = `Show more of ${number.format(board.total)}`;
  }

  function showPeriod() {
    const { starts_at, ends_at } = state.board.period;
    const zone = campaign()?.time_zone;
    const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeZone: zone });
    const days = day.formatRange(new Date(starts_at), new Date(new Date(ends_at) - 1));
    find("period").replaceChildren(named(days), element("small", { textContent: zoneWords(zone) }));
    const today = new Intl.DateTimeFormat("en-CA", { timeZone: zone }).format(new Date());
    find("later").disabled = shown.window === "all" || localDay(ends_at, zone) > today;
    find("earlier").disabled = shown.window === "all" || new Date(starts_at) <= new Date(campaign()?.starts_at);
  }

  async function showSeal() {
    const { board } = state;
    find("seal").hidden = !board.certified;
    if (!board.certified) return;
    if (state.sealed !== board.version) drawSeal(find("seal"), null, board.adjustments);
    state.sealed = board.version;
    const date = shown.window === "all" ? null : localDay(board.period.starts_at, campaign()?.time_zone);
    try {
      const certificate = await ask(`${campaignPath()}/certificates`, { window: shown.window, date });
      if (state.board === board) drawSeal(find("seal"), certificate.hash, board.adjustments);
    } catch (error) {
      if (!error.status) tellTrouble("The certificate cannot be loaded now. The result below is certified all the same.");
    }
  }

  // ---- my store

  async function showMine() {
    if (document.hidden) return;
    if (!shown.store) {
      find("mine-rank").replaceChildren();
      find("mine-gap").textContent = "Tap a store in the board to see its standing.";
      return;
    }
    find("back").hidden = !ownStores.length || ownStores.includes(shown.store);
    try {
      drawMine(await ask(`${campaignPath()}/stores/${encodeURIComponent(shown.store)}/standing`, { ...question(), around: 2 }));
    } catch (error) {
      if (error.status === 404) await drawFromBoard();
      else if (error.status) tellTrouble(`This standing cannot be shown: ${error.message}.`);
    }
  }

  /** A store whose figures this token may not see has its line of the board all the same. */
  async function drawFromBoard() {
    const row = state.board?.rows.find((one) => one.store_id === shown.store);
    if (row) drawMine({ ...row, total: state.board.total, gap_to_next: undefined, best_rank: null, rows: [] });
    else {
      find("mine-rank").replaceChildren();
      find("mine-gap").textContent = "This store is not on this board.";
      find("neighbours").replaceChildren();
    }
  }

  /** Whether no redemption of now counts any more: the window is over, or the campaign. */
  function isOver({ certified, period }) {
    const ends = [period?.ends_at, campaign()?.ends_at].filter(Boolean).map((moment) => new Date(moment));
    return Boolean(certified) || ends.some((moment) => moment <= new Date());
  }

  function drawMine(standing) {
    find("mine-name").replaceChildren(named(standing.store_name));
    const rank = find("mine-rank");
    if (standing.rank === null) rank.replaceChildren(element("span", { className: "none", textContent: "–" }), element("small", { textContent: unrankedWords(standing) }));
    else {
      const [, said, name] = movementParts(standing.movement);
      const moved = element("small", { className: name, textContent: ` · ${said === "new" ? "new here" : said}` });
      rank.replaceChildren(number.format(standing.rank), element("small", { textContent: ` of ${number.format(standing.total)}` }), moved);
    }
    const rows = [...standing.rows, ...(state.board?.rows ?? [])];
    const gap = () => gapSentence(standing, rows, shown.by, isOver(standing));
    find("mine-gap").replaceChildren(...gap());
    find("mine-facts").textContent = factsSentence(standing);
    if (standing.rows.length) {
      drawRows(find("neighbours"), standing.rows, { by: shown.by, mark: shown.store, caption: "My neighbours", empty: "" });
    } else find("neighbours").replaceChildren();
    if (state.lastRank !== null && standing.rank !== state.lastRank) find("told").replaceChildren(rankSentence(standing), ...gap());
    state.lastRank = standing.rank;
  }

  async function showLine() {
    const figure = find("line");
    figure.hidden = true;
    if (!shown.store) return;
    try {
      const past = await ask(`${campaignPath()}/stores/${encodeURIComponent(shown.store)}/history`);
      const ranked = past.days.filter((day) => day.rank !== null);
      if (past.store_id !== shown.store || ranked.length < 2) return;
      figure.hidden = false;
      window.CounterfoilLine.draw(figure, past);
    } catch {
      figure.hidden = true;
    }
  }

  // ---- controls

  function showControls() {
    for (const name of ["window", "by"]) {
      const chosen = document.querySelector(`input[name="${name}"][value="${CSS.escape(shown[name])}"]`);
      if (chosen) chosen.checked = true;
    }
    find("scope").value = shown.scope;
    const names = { day: "Day", week: "Week", month: "Month", all: "All time" };
    find("board-name").textContent = `Board: ${names[shown.window] ?? shown.window}`;
  }

  function pick(store) {
    shown.store = store;
    state.lastRank = null;
    keepInAddress();
    drawBoard();
    showMine();
    showLine();
    if (matchMedia("(max-width: 60rem)").matches) find("mine-name").scrollIntoView({ block: "start" });
  }

  function step(days) {
    const { starts_at, ends_at } = state.board.period;
    const zone = campaign()?.time_zone;
    const moment = days < 0 ? new Date(new Date(starts_at) - 1) : new Date(ends_at);
    const today = new Intl.DateTimeFormat("en-CA", { timeZone: zone }).format(new Date());
    const day = localDay(moment, zone);
    shown.date = day >= today ? null : day;
    showBoard();
  }

  function listen() {
    for (const input of document.querySelectorAll('input[name="window"], input[name="by"]')) {
      input.addEventListener("change", () => {
        shown[input.name] = input.value;
        if (input.name === "window") shown.date = null;
        showBoard();
      });
    }
    find("scope").addEventListener("change", (event) => {
      shown.scope = event.target.value;
      showBoard();
    });
    find("campaign").addEventListener("change", (event) => begin(event.target.value));
    find("earlier").addEventListener("click", () => step(-1));
    find("later").addEventListener("click", () => step(1));
    find("back").addEventListener("click", () => pick(ownStores[0]));
    find("more").addEventListener("click", () => {
      state.rows = Math.min(state.rows + 2 * PAGE_ROWS, MOST_ROWS);
      showBoard();
    });
    find("share").addEventListener("click", () => share(find("shared")));
    document.addEventListener("visibilitychange", () => state.board && showMine());
    let typing = 0;
    find("search").addEventListener("input", () => {
      clearTimeout(typing);
      typing = setTimeout(search, SEARCH_MS);
    });
  }

  async function search() {
    const text = find("search").value.trim();
    if (!text) {
      find("rows").replaceChildren();
      drawBoard();
      return;
    }
    try {
      const found = await ask(`${campaignPath()}/stores`, { ...question(), search: text });
      if (find("search").value.trim() !== text) return;
      find("more").hidden = true;
      drawRows(find("rows"), found.standings, {
        by: found.by, mark: shown.store, caption: `Stores found by “${text}”: ${caption()}`, onPick: (row) => pick(row.store_id),
        empty: `No store has “${text}” in its name. Try a part of it.`,
      });
    } catch (error) {
      tellTrouble(`The search did not work (${error.message}). The board goes on; search again in a moment.`);
    }
  }

  // ---- beginning

  async function begin(id) {
    shown.campaign = id;
    state.lastRank = null;
    find("rows").replaceChildren();
    showBoard();
    showLine();
    const scopes = await ask(`${campaignPath()}/scopes`);
    find("scope").replaceChildren(new Option("All stores", "all"), ...scopeOptions(scopes));
    find("scope").value = shown.scope;
  }

  async function start() {
    listen();
    try {
      const { items } = await ask("/v1/campaigns");
      state.campaigns = items;
      if (!items.length) {
        find("fresh").textContent = "";
        tellTrouble("There is no campaign yet. Its board appears here as soon as head office has made one.");
        return;
      }
      const chosen = items.find((one) => one.id === shown.campaign) ?? items[0];
      find("campaign").replaceChildren(...items.map((one) => new Option(one.name, one.id, false, one === chosen)));
      find("campaign").disabled = items.length < 2;
      await begin(chosen.id);
    } catch (error) {
      tellTrouble(`The board cannot be loaded now (${error.message}). Nothing is lost; load this page again in a moment.`);
    }
  }

  start();
})();
