// What every part of the page for stores needs: asking the routes, the days of a zone, the choice of stores, the link.
"use strict";
(() => {
  const { element } = window.Counterfoil;

  /** Asks a route and gives its body. Throws an error with the answer's sentence and status; without one, nobody answered. */
  async function ask(path, parameters = {}) {
    const url = new URL(path, location.origin);
    for (const [name, value] of Object.entries(parameters)) if (value) url.searchParams.set(name, value);
    const response = await fetch(url, { cache: "no-store" });
    if (response.status === 401) location.reload();
    const body = await response.json();
    if (!response.ok) throw Object.assign(new Error(body.errors?.[0]?.message ?? body.detail), { status: response.status });
    return body;
  }

  /** The date of a moment in a zone, as the routes take it. */
  const localDay = (moment, zone) => new Intl.DateTimeFormat("en-CA", { timeZone: zone }).format(new Date(moment));

  /** A zone as its shopkeepers would say it: the city that it is named after. */
  const zoneWords = (zone) => (zone.includes("/") ? `${zone.split("/").at(-1).replaceAll("_", " ")} time` : zone);

  function scopeOptions({ regions, chains, peers }) {
    const groups = { Regions: ["region", regions], Chains: ["chain", chains], "Similar stores": ["peer", peers] };
    return Object.entries(groups).filter(([, [, names]]) => names.length).map(([label, [kind, names]]) =>
      element("optgroup", { label }, ...names.map((name) => new Option(name, `${kind}:${name}`))));
  }

  /** Copies the address of what is shown; where that is not allowed, shows it. */
  async function share(told) {
    try {
      await navigator.clipboard.writeText(location.href);
      told.textContent = "Link copied";
    } catch {
      told.textContent = location.href;
    }
  }

  window.CounterfoilPage = { ask, localDay, scopeOptions, share, zoneWords };
})();
