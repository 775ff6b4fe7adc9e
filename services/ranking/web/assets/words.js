// What the page for stores says in sentences: the way to the next rank, a store's figures, the seal of a closed window.
"use strict";
(() => {
  const { element, number, percent } = window.Counterfoil;
  const signed = new Intl.NumberFormat(undefined, { signDisplay: "always" });

  const NOT_HERE = "This store is not among the stores of this board.";
  const NOT_BY_RATE = "This store is not on this board: it belongs to other stores, or was given fewer than 100 codes.";

  /** A store's name kept apart from the sentence around it, whichever way it is written. */
  const named = (name) => element("bdi", { textContent: name });

  /** How many more are needed, and whom they reach (of the rows that are known): nodes and texts. Once the window is over, they were. */
  function gapSentence({ rank, gap_to_next: gap }, rows, by, over) {
    if (gap === undefined) return [];
    if (rank === 1) return [over ? "Nobody was ahead." : "Nobody is ahead."];
    if (over && (rank === null || gap === null)) return [rank === null ? "This store was not ranked." : "The next rank was out of reach."];
    if (gap === null && rank === null) return [by === "rate" ? NOT_BY_RATE : NOT_HERE];
    if (gap === null) return ["The next rank is out of reach with the codes handed out."];
    if (rank === null) return [`${number.format(gap)} more to be ranked`];
    const ahead = rows.filter((row) => row.rank < rank).sort((one, other) => one.position - other.position).at(-1);
    if (over) return [`${number.format(gap)} short of `, ahead ? named(ahead.store_name) : "the next rank"];
    if (!ahead) return [`${number.format(gap)} more to the next rank`];
    return [`${number.format(gap)} more to catch up with `, named(ahead.store_name)];
  }

  /** What stands beside the dash of a store without a rank. */
  function unrankedWords({ total }) {
    return total ? ` not ranked yet, ${number.format(total)} ${total === 1 ? "store is" : "stores are"}` : " nobody is ranked yet";
  }

  function rankSentence({ rank }) {
    return rank === null ? "Not ranked now. " : `Now rank ${number.format(rank)}. `;
  }

  /** What an empty board says; a date is isolated (U+2068), for the reader's language may write it from right to left. */
  function emptyWords(campaign) {
    const starts = new Date(campaign?.starts_at ?? 0);
    if (starts <= new Date()) return "Nothing was redeemed in this time. The first redemption puts its store here.";
    const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeZone: campaign.time_zone });
    return `This campaign starts on \u2068${day.format(starts)}\u2069. Its first redemption puts its store here.`;
  }

  function factsSentence({ score, rate, best_rank: best, percentile }) {
    const parts = [`${number.format(score)} redeemed`];
    if (rate) parts.push(percent.format(rate));
    if (best) parts.push(`best all-time rank ${number.format(best)}`);
    if (percentile && percentile < 100) parts.push(`better than or level with ${number.format(Math.floor(percentile))} % of stores`);
    return parts.join(" · ");
  }

  /** The seal of a certified window: that it is final, its hash once it is known, and what came in later. */
  function drawSeal(target, hash, adjustments) {
    const said = [element("p", {}, element("strong", { textContent: "Certified. " }), "This result is final.")];
    if (hash) said.push(element("p", {}, "Hash ", element("code", { textContent: hash })));
    const open = target.querySelector("details")?.open ?? false;
    target.replaceChildren(...said, ...(adjustments.length ? [laterChanges(adjustments, open)] : []));
  }

  function laterChanges(adjustments, open) {
    const count = adjustments.length;
    const title = `${number.format(count)} ${count === 1 ? "store" : "stores"} changed later`;
    const lines = adjustments.map((one) => element("li", {}, named(one.store_name),
      `: ${number.format(one.certified_score)} certified, ${number.format(one.score)} now (${signed.format(one.difference)})`));
    return element("details", { open }, element("summary", { textContent: title }), element("ul", {}, ...lines));
  }

  window.CounterfoilWords = { drawSeal, emptyWords, factsSentence, gapSentence, named, rankSentence, unrankedWords };
})();
