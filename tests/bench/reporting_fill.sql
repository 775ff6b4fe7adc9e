-- Redemptions of three weeks in November, of which one in fifty is reversed, and their sums as folding makes them.
SELECT ensure_month('2026-11-01', '');
INSERT INTO stores (id, revision, name, chain, region, country, hidden, test)
SELECT 's-' || lpad(n::text, 5, '0'), 1, 'Store ' || n, 'chain-' || n % 20, 'region-' || n % 50, 'US', false, false
FROM generate_series(1, :stores) AS n ON CONFLICT DO NOTHING;
INSERT INTO batches (id, revision, campaign_id, state, codes, published_at) VALUES ('bench', 1, 'spring', 'published', 10000000, '2026-10-31T17:23:11.5Z');
INSERT INTO allotments (batch_id, store_id, first_serial, codes)
SELECT 'bench', 's-' || lpad(n::text, 5, '0'), n * 10000, 2000 FROM generate_series(1, :stores) AS n;
INSERT INTO ledger (campaign_id, occurred_at, redemption_id, event_id, platform, decided_at, serial, batch_id, store_id, store_region, player_id)
SELECT 'spring', '2026-11-01T05:00:00Z'::timestamptz + n * interval '1 second' * (25 * 86400.0 / :rows), md5(n::text), 'zork-' || n, 'zork',
    '2026-11-01T05:00:01Z'::timestamptz + n * interval '1 second' * (25 * 86400.0 / :rows), n, 'bench',
    's-' || lpad((1 + (n * 2654435761) % :stores)::text, 5, '0'), 'region-' || n % 50, 'player-' || (n * 40503) % (:rows / 2)
FROM generate_series(1, :rows::bigint) AS n;
INSERT INTO reversals (campaign_id, redeemed_at, redemption_id, reversed_at, decided_at, reason, reopens, serial, batch_id, store_id)
SELECT campaign_id, occurred_at, redemption_id, occurred_at + interval '1 minute', decided_at + interval '1 minute', 'refund', false, serial,
    batch_id, store_id FROM ledger WHERE serial % 50 = 0;
INSERT INTO store_totals (campaign_id, store_id, batch_id, partition, accepted, reopened, reversed, rejected, redeemed_in_void, players,
    first_at, last_at, reached_at)
SELECT l.campaign_id, l.store_id, l.batch_id, l.serial % 6, count(*), 0, count(r.redemption_id), 0, 0, count(*) - count(r.redemption_id),
    min(l.occurred_at), max(l.occurred_at), max(l.occurred_at)
FROM ledger AS l LEFT JOIN reversals AS r USING (campaign_id, redemption_id) GROUP BY 1, 2, 3, 4;
INSERT INTO store_players (campaign_id, store_id, platform, player_id, redemptions)
SELECT l.campaign_id, l.store_id, l.platform, l.player_id, count(*) - count(r.redemption_id)
FROM ledger AS l LEFT JOIN reversals AS r USING (campaign_id, redemption_id) GROUP BY 1, 2, 3, 4;
SELECT merge_players(1000000000);
INSERT INTO hourly_facts (campaign_id, hour, store_id, partition, utc_offset, accepted, reopened, reversed, rejected)
SELECT campaign_id, date_trunc('hour', occurred_at), store_id, serial % 6, -18000, count(*), 0, 0, 0 FROM ledger GROUP BY 1, 2, 3, 4;
