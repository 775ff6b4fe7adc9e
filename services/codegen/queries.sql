-- Every statement of codegen's store. The schema is the connection's search_path.

-- name: ping
-- Answers when Postgres does.
SELECT 1;

-- name: find_campaign
-- One campaign, by id.
SELECT * FROM campaigns WHERE id = $1;

-- name: lock_campaign
-- One campaign, held against other changes until the transaction ends.
SELECT * FROM campaigns WHERE id = $1 FOR UPDATE;

-- name: hold_campaign
-- One campaign, held against changes but not against other batches that are being ordered.
SELECT * FROM campaigns WHERE id = $1 FOR SHARE;

-- name: insert_campaign
-- Adds a campaign; no row comes back when its id is taken.
INSERT INTO campaigns (id, name, starts_at, ends_at, time_zone, games, regions, per_player, per_store, total, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)
ON CONFLICT (id) DO NOTHING RETURNING id;

-- name: update_campaign
-- Writes all that may change; the caller holds the row and has raised the revision.
UPDATE campaigns SET name = $2, starts_at = $3, ends_at = $4, time_zone = $5, games = $6, regions = $7, per_player = $8,
    per_store = $9, total = $10, paused = $11, archived = $12, revision = $13, updated_at = $14
WHERE id = $1;

-- name: campaign_figures
-- Per campaign: codes of published batches, and of those that are ready.
SELECT campaign_id, coalesce(sum(count) FILTER (WHERE state = 'published'), 0)::bigint AS issued,
    coalesce(sum(count) FILTER (WHERE state = 'ready'), 0)::bigint AS ready
FROM batches GROUP BY campaign_id;

-- name: campaign_redeemed
-- Per campaign: codes that count as redeemed.
SELECT b.campaign_id, count(*) AS redeemed
FROM batches b JOIN redemptions r ON r.serial BETWEEN b.first_serial AND b.last_serial
WHERE b.state = 'published' AND r.redeemed_at IS NOT NULL AND NOT r.released GROUP BY b.campaign_id;

-- name: campaign_void
-- Per campaign: codes that were made void.
SELECT b.campaign_id, sum(v.codes)::bigint AS void FROM void_ranges v JOIN batches b ON b.id = v.batch_id
WHERE b.state = 'published' GROUP BY b.campaign_id;

-- name: list_campaigns
-- A page of campaigns in the order of their ids.
SELECT * FROM campaigns WHERE id > $1 ORDER BY id LIMIT $2;

-- name: campaign_has_published
-- Whether a batch of the campaign is published; its time zone is frozen from then on (rule 18).
SELECT EXISTS (SELECT FROM batches WHERE campaign_id = $1 AND state = 'published');

-- name: hold_lists
-- One list of stores is taken at a time: two that add the same store would both find that it is not there.
SELECT pg_advisory_xact_lock(hashtextextended('codegen.stores', 0));

-- name: lock_stores
-- Those of the named stores that are there, held in id order so that two lists cannot wait for each other.
SELECT * FROM stores WHERE id = ANY ($1::text[]) ORDER BY id FOR UPDATE;

-- name: insert_stores
-- Adds stores, numbered in the order of the list. None was added meanwhile: the caller holds lists.
INSERT INTO stores (id, name, chain, region, country, peer_group, hidden, test, paused, revision, updated_at)
SELECT id, name, chain, region, country, peer_group, hidden, test, paused, revision, $2
FROM jsonb_to_recordset($1) AS s (place int, id text, name text, chain text, region text, country text, peer_group text,
    hidden boolean, test boolean, paused boolean, revision bigint)
ORDER BY place;

-- name: update_stores
-- Replaces stores as wholes; the caller holds the rows and has raised the revisions.
UPDATE stores SET name = s.name, chain = s.chain, region = s.region, country = s.country, peer_group = s.peer_group,
    hidden = s.hidden, test = s.test, paused = s.paused, revision = s.revision, updated_at = $2
FROM jsonb_to_recordset($1) AS s (id text, name text, chain text, region text, country text, peer_group text,
    hidden boolean, test boolean, paused boolean, revision bigint)
WHERE stores.id = s.id;

-- name: list_stores
-- A page of stores in the order of their ids.
SELECT * FROM stores WHERE id > $1 ORDER BY id LIMIT $2;

-- name: find_stores
-- A page of the stores whose id or name holds a text, whatever the case, in the order of their ids; an empty text is in all.
SELECT * FROM stores WHERE id > $1 AND (strpos(lower(id), lower($3)) > 0 OR strpos(lower(name), lower($3)) > 0)
ORDER BY id LIMIT $2;

-- name: count_stores
-- How many stores there are.
SELECT count(*) FROM stores;

-- name: known_stores
-- Number and id of those of the named stores that are there.
SELECT number, id FROM stores WHERE id = ANY ($1::text[]) ORDER BY id;

-- name: all_stores
-- Number and id of every store, at most `$1`.
SELECT number, id FROM stores ORDER BY id LIMIT $1;

-- name: hold_serials
-- The next free serial, held until the transaction ends: ranges are reserved one after another.
SELECT next_serial FROM serials FOR UPDATE;

-- name: move_serials
-- Sets the next free serial; the caller holds it.
UPDATE serials SET next_serial = $1;

-- name: newest_shared_partition
-- The shared partition that small batches go to now; the caller holds the serials.
SELECT first_serial, last_serial, next_serial FROM shared_partitions ORDER BY first_serial DESC LIMIT 1;

-- name: insert_shared_partition
-- Notes a new shared partition, nothing of it taken.
INSERT INTO shared_partitions (first_serial, last_serial, next_serial) VALUES ($1, $2, $1);

-- name: create_shared_partition
-- Makes the partition itself.
SELECT create_shared_partition($1, $2);

-- name: move_shared_partition
-- Sets the next free serial of a shared partition; the caller holds the serials.
UPDATE shared_partitions SET next_serial = $2 WHERE first_serial = $1;

-- name: claim_idempotency_key
-- Whether no other request with this key is being answered now; held until the transaction ends.
SELECT pg_try_advisory_xact_lock(hashtextextended('codegen.idempotency:' || $1, 0));

-- name: find_idempotency_key
-- What was made under the key, and of which request.
SELECT request_hash, batch_id FROM idempotency_keys WHERE key = $1;

-- name: insert_idempotency_key
-- Notes what was made under the key.
INSERT INTO idempotency_keys (key, request_hash, batch_id, made_at) VALUES ($1, $2, $3, $4);

-- name: insert_batch
-- Adds a queued batch with the range reserved for it.
INSERT INTO batches (id, campaign_id, state, count, stores, key_id, key_check, words, first_serial, last_serial, own_partition,
    publish_when_ready, created_by, created_at)
VALUES ($1, $2, 'queued', $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
RETURNING *;

-- name: insert_allotments
-- Adds a batch's allotments in the order of the arrays.
INSERT INTO allotments (batch_number, place, store_number, count)
SELECT $1, place - 1, store_number, count
FROM unnest($2::integer[], $3::bigint[]) WITH ORDINALITY AS a (store_number, count, place);

-- name: find_batch
-- One batch, by id.
SELECT * FROM batches WHERE id = $1;

-- name: ids_of_batches
-- Which of these batches there are.
SELECT id FROM batches WHERE id = ANY($1::text[]);

-- name: lock_batch
-- One batch, held against other changes until the transaction ends.
SELECT * FROM batches WHERE id = $1 FOR UPDATE;

-- name: list_batches
-- A page of batches, newest first, of one campaign or of all.
SELECT * FROM batches WHERE number < $1 AND ($3::text IS NULL OR campaign_id = $3) ORDER BY number DESC LIMIT $2;

-- name: list_allotments
-- A batch's allotments in order, with their stores.
SELECT a.place, s.id AS store_id, s.name AS store_name, s.number AS store_number, a.count, a.first_serial, a.last_serial, a.sha256
FROM allotments a JOIN stores s ON s.number = a.store_number WHERE a.batch_number = $1 ORDER BY a.place;

-- name: change_batch_state
-- Moves a batch to a state, its revision one up, its claim ended. The caller holds the row and has checked the transition.
UPDATE batches SET state = $2, revision = revision + 1, error = $3, worker = NULL,
    published_at = CASE WHEN $2 = 'published' THEN $4 ELSE published_at END
WHERE id = $1 RETURNING *;

-- name: pause_batch
-- Pauses or goes on with the redemption of a batch's codes; the caller holds the row.
UPDATE batches SET paused = $2, revision = revision + 1 WHERE id = $1 RETURNING *;

-- name: note_rows_removed
-- Nothing of a cancelled batch is in the register any more.
UPDATE batches SET rows_removed = true, generated = 0, loaded = 0, verified = 0 WHERE id = $1 RETURNING *;

-- name: batches_to_sweep
-- Cancelled batches whose rows may still be there.
SELECT * FROM batches WHERE state = 'cancelled' AND NOT rows_removed ORDER BY number;

-- name: drop_batch_partition
-- Removes a batch's own partition with its rows.
SELECT drop_batch_partition($1);

-- name: delete_batch_codes
-- Removes a batch's rows from a shared partition.
DELETE FROM codes WHERE serial BETWEEN $1 AND $2;

-- name: claim_batch
-- Gives the oldest batch that waits, or whose worker was not heard of for `$2` seconds, to a new claim. A batch is not begun
-- before its range is on the batches topic: nothing of it may wait in the outbox (rule 25). A copy that has not got a batch's key
-- yet leaves it to one that has. Two claims never get one batch.
UPDATE batches SET worker = $1, heartbeat_at = now(), claimed_at = now(), progress_at = now(), loaded_at_claim = loaded,
    started_at = coalesce(started_at, now()),
    state = CASE state WHEN 'queued' THEN 'generating' ELSE state END,
    revision = revision + CASE state WHEN 'queued' THEN 1 ELSE 0 END
WHERE id = (
    SELECT id FROM batches b
    WHERE (state = 'queued' OR (state IN ('generating', 'verifying') AND heartbeat_at < now() - make_interval(secs => $2)))
        AND NOT EXISTS (SELECT FROM outbox WHERE topic = $3 AND key = b.id) AND key_id = ANY ($4::text[])
    ORDER BY number LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING *;

-- name: heartbeat
-- Says that a claim is alive; no row when it has been ended or taken over.
UPDATE batches SET heartbeat_at = now() WHERE id = $1 AND worker = $2 RETURNING id;

-- name: note_batch_trouble
-- Says why a batch waits; null when it goes on.
UPDATE batches SET error = $3, heartbeat_at = now() WHERE id = $1 AND worker = $2;

-- name: create_batch_partition
-- Makes a batch's own partition, empty and without a key; nothing happens when it is there.
SELECT create_batch_partition($1, $2, $3);

-- name: begin_block
-- Opens the transaction that loads block `$3`: no row when the claim was ended, or the block was loaded before (rule 27).
UPDATE batches SET next_block = next_block + 1, generated = $4, loaded = loaded + $5, heartbeat_at = now(), progress_at = now(),
    error = NULL
WHERE id = $1 AND worker = $2 AND next_block = $3 AND state = 'generating'
RETURNING loaded;

-- name: note_allotments
-- Notes where allotments began, ended, and the hash of their codes, as far as the block reached.
UPDATE allotments SET first_serial = coalesce(allotments.first_serial, n.first_serial), last_serial = n.last_serial,
    sha256 = decode(n.sha256, 'hex')
FROM jsonb_to_recordset($2) AS n (place integer, first_serial bigint, last_serial bigint, sha256 text)
WHERE allotments.batch_number = $1 AND allotments.place = n.place;

-- name: begin_verifying
-- Moves a loaded batch on to be verified; no row when the claim was ended.
UPDATE batches SET state = 'verifying', revision = revision + 1, loaded_at = coalesce(loaded_at, now()), heartbeat_at = now(),
    verified = 0
WHERE id = $1 AND worker = $2 AND state = 'generating' AND loaded = count
RETURNING *;

-- name: note_verified
-- Tells how many rows were verified.
UPDATE batches SET verified = $3, heartbeat_at = now() WHERE id = $1 AND worker = $2;

-- name: key_batch_partition
-- Builds the key of a loaded partition; reading it goes on meanwhile.
SELECT key_batch_partition($1);

-- name: batch_partition_pages
-- How many pages a batch's own partition has.
SELECT batch_partition_pages($1);

-- name: batch_partition_totals
-- Per store: codes, lowest and highest serial in a stretch of the pages of a batch's own partition.
SELECT store_number, codes, first_serial, last_serial FROM batch_partition_totals($1, $2, $3);

-- name: batch_range_totals
-- Per store: codes, lowest and highest serial of a batch in a shared partition.
SELECT store_number, count(*) AS codes, min(serial) AS first_serial, max(serial) AS last_serial
FROM codes WHERE serial BETWEEN $2 AND $3 AND batch_number = $1 GROUP BY store_number;

-- name: finish_batch
-- A verified batch is ready; no row when the claim was ended.
UPDATE batches SET state = 'ready', revision = revision + 1, verified = $3, ready_at = now(), worker = NULL, error = NULL
WHERE id = $1 AND worker = $2 AND state = 'verifying'
RETURNING *;

-- name: attach_batch_partition
-- Makes a keyed partition part of the register.
SELECT attach_batch_partition($1, $2, $3);

-- name: fail_batch
-- A batch that cannot be made; what it loaded stays for `resume`. No row when the claim was ended.
UPDATE batches SET state = 'failed', revision = revision + 1, error = $3, worker = NULL
WHERE id = $1 AND worker = $2 RETURNING *;

-- name: resume_batch
-- Queues a failed batch again; it goes on from its last loaded block.
UPDATE batches SET state = 'queued', revision = revision + 1, error = NULL, worker = NULL, verified = 0
WHERE id = $1 AND state = 'failed' RETURNING *;

-- name: reserved_ranges
-- Every range that was reserved, under which key.
SELECT key_id, first_serial, last_serial, words FROM batches ORDER BY first_serial;

-- name: keys_in_use
-- Each key that batches were made under, with its check value.
SELECT DISTINCT key_id, key_check FROM batches ORDER BY key_id;

-- name: speed_shown
-- Codes a second from claim to ready, over the latest batches of some size; null before the first.
SELECT sum(count)::float8 / nullif(sum(extract(epoch FROM ready_at - started_at)), 0)::float8 FROM (
    SELECT count, ready_at, started_at FROM batches WHERE ready_at IS NOT NULL AND count >= 10000
    ORDER BY number DESC LIMIT 10) AS latest;

-- name: live_codes
-- Codes that a guess could hit: of published batches whose campaign is not over.
SELECT coalesce(sum(b.count), 0)::bigint FROM batches b JOIN campaigns c ON c.id = b.campaign_id
WHERE b.state = 'published' AND NOT c.archived AND c.ends_at > $1;

-- name: codes_of_batch
-- A batch's rows above a serial, in serial order; for binary COPY.
SELECT serial, store_number FROM codes WHERE serial > $1 AND serial <= $2 ORDER BY serial LIMIT $3;

-- name: codes_of_store
-- The same, of one store.
SELECT serial, store_number FROM codes WHERE serial > $1 AND serial <= $2 AND store_number = $4 ORDER BY serial LIMIT $3;

-- name: find_code
-- A code by its serial, with batch, store and campaign.
SELECT c.serial, b.id AS batch_id, b.state AS batch_state, b.campaign_id, b.key_id, b.words, b.published_at,
    s.id AS store_id, s.name AS store_name, p.starts_at, p.ends_at, p.archived, p.paused AS campaign_paused,
    b.paused AS batch_paused, s.paused AS store_paused
FROM codes c
JOIN batches b ON b.number = c.batch_number
JOIN stores s ON s.number = c.store_number
JOIN campaigns p ON p.id = b.campaign_id
WHERE c.serial = $1;

-- name: redemptions_of_serial
-- Every accepted redemption of a code, in the order in which they happened.
SELECT * FROM redemptions WHERE serial = $1 ORDER BY decided_at NULLS LAST, redemption_id;

-- name: void_of_serial
-- The void that covers a serial.
SELECT v.id, v.reason, v.voided_by, v.voided_at FROM void_ranges r JOIN voids v ON v.id = r.void_id
WHERE r.first_serial <= $1 AND r.last_serial >= $1 ORDER BY r.first_serial DESC LIMIT 1;

-- name: hold_voids
-- One void is made at a time, so that their ranges do not overlap.
SELECT pg_advisory_xact_lock(hashtextextended('codegen.voids', 0));

-- name: stretches_of_batch
-- A batch's allotments as stretches of serials.
SELECT a.first_serial, a.last_serial, b.id AS batch_id, s.id AS store_id, a.count
FROM batches b JOIN allotments a ON a.batch_number = b.number JOIN stores s ON s.number = a.store_number
WHERE b.id = $1 AND b.state IN ('ready', 'published') ORDER BY a.first_serial;

-- name: stretches_of_store
-- A store's allotments in a campaign as stretches of serials.
SELECT a.first_serial, a.last_serial, b.id AS batch_id, s.id AS store_id, a.count
FROM batches b JOIN allotments a ON a.batch_number = b.number JOIN stores s ON s.number = a.store_number
WHERE b.campaign_id = $1 AND s.id = $2 AND b.state IN ('ready', 'published') ORDER BY a.first_serial;

-- name: stretches_of_range
-- The allotments that a range of serials touches, cut to the range.
SELECT greatest(a.first_serial, $1) AS first_serial, least(a.last_serial, $2) AS last_serial, b.id AS batch_id, s.id AS store_id,
    CASE WHEN a.first_serial >= $1 AND a.last_serial <= $2 THEN a.count
         WHEN a.last_serial - a.first_serial + 1 = a.count THEN least(a.last_serial, $2) - greatest(a.first_serial, $1) + 1
    END AS count
FROM batches b JOIN allotments a ON a.batch_number = b.number JOIN stores s ON s.number = a.store_number
WHERE b.first_serial <= $2 AND b.last_serial >= $1 AND b.state IN ('ready', 'published')
    AND a.first_serial <= $2 AND a.last_serial >= $1
ORDER BY a.first_serial;

-- name: stretches_of_serials
-- Single serials that were issued, each as a stretch of one.
SELECT c.serial AS first_serial, c.serial AS last_serial, b.id AS batch_id, s.id AS store_id, 1::bigint AS count
FROM codes c JOIN batches b ON b.number = c.batch_number JOIN stores s ON s.number = c.store_number
WHERE c.serial = ANY ($1::bigint[]) AND b.state IN ('ready', 'published') ORDER BY c.serial;

-- name: redeemed_within
-- Serials within the stretches that count as redeemed.
SELECT DISTINCT r.serial FROM unnest($1::bigint[], $2::bigint[]) AS t (first, last)
JOIN redemptions r ON r.serial BETWEEN t.first AND t.last
WHERE r.redeemed_at IS NOT NULL AND NOT r.released ORDER BY r.serial;

-- name: void_within
-- Serials within the stretches that are void already, as ranges.
SELECT greatest(v.first_serial, t.first) AS first_serial, least(v.last_serial, t.last) AS last_serial,
    CASE WHEN v.first_serial >= t.first AND v.last_serial <= t.last THEN v.codes END AS codes
FROM unnest($1::bigint[], $2::bigint[]) AS t (first, last)
JOIN void_ranges v ON v.first_serial <= t.last AND v.last_serial >= t.first ORDER BY 1;

-- name: count_codes
-- How many serials were issued in each of the ranges.
SELECT t.place, counted.codes FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS t (first, last, place)
CROSS JOIN LATERAL (SELECT count(*) AS codes FROM codes WHERE serial BETWEEN t.first AND t.last) AS counted ORDER BY t.place;

-- name: insert_void
-- Adds a void.
INSERT INTO voids (id, reason, target, outstanding, voided_by, voided_at) VALUES ($1, $2, $3, $4, $5, $6);

-- name: insert_void_ranges
-- Adds one record's ranges of a void.
INSERT INTO void_ranges (first_serial, last_serial, void_id, part, batch_id, store_id, codes)
SELECT first, last, $1, $2, batch_id, store_id, codes
FROM jsonb_to_recordset($3) AS r (first bigint, last bigint, batch_id text, store_id text, codes bigint);

-- name: list_voids
-- A page of voids in the order of their ids.
SELECT v.id, v.reason, v.target, v.outstanding, v.voided_by, v.voided_at FROM voids v
WHERE v.id > $1 ORDER BY v.id LIMIT $2;

-- name: latest_voids
-- The latest voids, newest first.
SELECT id, reason, target, outstanding, voided_by, voided_at FROM voids ORDER BY voided_at DESC, id LIMIT $1;

-- name: insert_token
-- Adds a token by its hash.
INSERT INTO tokens (id, name, sha256, scopes, expires_at, created_by, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING *;

-- name: lock_token
-- One token, held against other changes.
SELECT * FROM tokens WHERE id = $1 FOR UPDATE;

-- name: revoke_token
-- Ends a token; the caller holds the row.
UPDATE tokens SET revoked_at = $2, revision = revision + 1 WHERE id = $1 RETURNING *;

-- name: list_tokens
-- A page of tokens in the order of their ids.
SELECT * FROM tokens WHERE id > $1 ORDER BY id LIMIT $2;

-- name: hold_tokens
-- One first token is made at a time.
SELECT pg_advisory_xact_lock(hashtextextended('codegen.tokens', 0));

-- name: has_admin_token
-- Whether a token that can administer is valid at a moment.
SELECT EXISTS (SELECT FROM tokens WHERE 'admin' = ANY (scopes) AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $1));

-- name: let_audit_grow
-- Entries are added side by side, but not while the log is being sealed.
SELECT pg_advisory_xact_lock_shared(hashtextextended('codegen.audit', 0));

-- name: hold_audit
-- Whether no entry is being added now; new ones are held up then, and no id below the highest is to come any more. It does not
-- wait, so that it is in nobody's way.
SELECT pg_try_advisory_xact_lock(hashtextextended('codegen.audit', 0));

-- name: audit_between
-- Entries from an id to another, in order, at most so many.
SELECT id, at, actor, action, subject, details FROM audit WHERE id BETWEEN $1 AND $2 ORDER BY id LIMIT $3;

-- name: last_audit_block
-- The block that was sealed last.
SELECT * FROM audit_blocks ORDER BY number DESC LIMIT 1;

-- name: list_audit_blocks
-- Blocks above a number, in order.
SELECT * FROM audit_blocks WHERE number > $1 ORDER BY number LIMIT $2;

-- name: insert_audit_block
-- Adds a block; a unique violation means that another copy sealed meanwhile, which the lock rules out.
INSERT INTO audit_blocks (number, first_id, last_id, entries, previous_hash, hash) VALUES ($1, $2, $3, $4, $5, $6);

-- name: insert_audit
-- Notes what an admin did.
INSERT INTO audit (at, actor, action, subject, details) VALUES ($1, $2, $3, $4, $5);

-- name: list_audit
-- A page of the audit log, newest first.
SELECT id, at, actor, action, subject, details FROM audit
WHERE id < $1 AND ($3::text IS NULL OR subject = $3) AND ($4::text IS NULL OR actor = $4) ORDER BY id DESC LIMIT $2;

-- name: insert_outbox
-- Records to be sent, in the order of the arrays; gives the highest id.
WITH added AS (
    INSERT INTO outbox (topic, key, event, value)
    SELECT topic, key, event, value
    FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[]) WITH ORDINALITY AS r (topic, key, event, value, place)
    ORDER BY place RETURNING id)
SELECT array_agg(id ORDER BY id) FROM added;

-- name: outbox_waiting
-- How many of these records were not acknowledged yet.
SELECT count(*) FROM outbox WHERE id = ANY ($1::bigint[]);

-- name: outbox_of_topic
-- Ids of the records of a topic that were not acknowledged yet.
SELECT id FROM outbox WHERE topic = $1 ORDER BY id;

-- name: outbox_of_keys
-- Ids of the records of these keys of a topic that were not acknowledged yet.
SELECT id FROM outbox WHERE topic = $1 AND key = ANY ($2::text[]) ORDER BY id;

-- name: outbox_head
-- The next records to be sent, in id order.
SELECT id, topic, key, event, value, made_at FROM outbox ORDER BY id LIMIT $1;

-- name: outbox_state
-- How many records wait, and for how many seconds the oldest has.
SELECT count(*) AS records, coalesce(extract(epoch FROM now() - min(made_at)), 0)::float8 AS oldest_seconds FROM outbox;

-- name: delete_outbox
-- Removes records that were acknowledged.
DELETE FROM outbox WHERE id = ANY ($1::bigint[]);

-- name: hold_relay_lease
-- Takes or prolongs the right to send for `$2` seconds; no row while another holds it.
UPDATE relay_lease SET holder = $1, until = now() + make_interval(secs => $2) WHERE holder = $1 OR until < now() RETURNING holder;

-- name: end_relay_lease
-- Gives the right to send back at once.
UPDATE relay_lease SET until = '-infinity' WHERE holder = $1;

-- name: current_revisions
-- Key and revision of every value that a topic should hold by now: nothing of it waits in the outbox.
SELECT topic, key, revision FROM (
    SELECT 'promo.campaigns.v1' AS topic, id AS key, revision FROM campaigns
    UNION ALL SELECT 'promo.stores.v1', id, revision FROM stores
    UNION ALL SELECT 'promo.batches.v1', id, revision FROM batches
    UNION ALL SELECT 'promo.tokens.v1', id, revision FROM tokens
    UNION ALL SELECT 'promo.voids.v1', void_id, max(part) FROM void_ranges GROUP BY void_id) AS present
WHERE NOT EXISTS (SELECT FROM outbox o WHERE o.topic = present.topic AND o.key = present.key);

-- name: campaigns_by_id
-- The named campaigns.
SELECT * FROM campaigns WHERE id = ANY ($1::text[]) ORDER BY id;

-- name: stores_by_id
-- The named stores.
SELECT * FROM stores WHERE id = ANY ($1::text[]) ORDER BY id;

-- name: tokens_by_id
-- The named tokens.
SELECT * FROM tokens WHERE id = ANY ($1::text[]) ORDER BY id;

-- name: ranges_of_void
-- A void's ranges by record.
SELECT v.id, v.reason, v.voided_by, v.voided_at, r.part, r.first_serial, r.last_serial, r.batch_id, r.store_id, r.codes
FROM voids v JOIN void_ranges r ON r.void_id = v.id WHERE v.id = $1 AND r.part > $2 ORDER BY r.part, r.first_serial;

-- name: ensure_place
-- The row of a partition that is read for the first time.
INSERT INTO outcome_places (partition) VALUES ($1) ON CONFLICT DO NOTHING;

-- name: find_place
-- Where to read a partition of outcomes on from.
SELECT position FROM outcome_places WHERE partition = $1;

-- name: lock_place
-- Place and mark of a partition, held while its records are folded (rule 16).
SELECT position, mark_epoch, mark_offset FROM outcome_places WHERE partition = $1 FOR UPDATE;

-- name: move_place
-- Sets place and mark.
UPDATE outcome_places SET position = $2, mark_epoch = $3, mark_offset = $4, folded_at = now() WHERE partition = $1;

-- name: list_places
-- All places.
SELECT partition, position, folded_at FROM outcome_places ORDER BY partition;

-- name: fold_redemptions
-- Notes accepted redemptions; one whose reversal was read first keeps it. Doing it again changes nothing.
INSERT INTO redemptions (redemption_id, serial, platform, event_id, player_id, redeemed_at, decided_at)
SELECT redemption_id, serial, platform, event_id, player_id, redeemed_at, decided_at
FROM jsonb_to_recordset($1) AS r (redemption_id text, serial bigint, platform text, event_id text, player_id text,
    redeemed_at timestamptz, decided_at timestamptz)
ON CONFLICT (redemption_id) DO UPDATE SET event_id = excluded.event_id, player_id = excluded.player_id,
    redeemed_at = excluded.redeemed_at, decided_at = excluded.decided_at;

-- name: fold_reversals
-- Notes reversals, whether their redemption was read yet or not. Doing it again changes nothing.
INSERT INTO redemptions (redemption_id, serial, platform, reversed_at, reversal_reason, released)
SELECT redemption_id, serial, platform, reversed_at, reason, released
FROM jsonb_to_recordset($1) AS r (redemption_id text, serial bigint, platform text, reversed_at timestamptz, reason text,
    released boolean)
ON CONFLICT (redemption_id) DO UPDATE SET reversed_at = excluded.reversed_at, reversal_reason = excluded.reversal_reason,
    released = excluded.released;

-- name: forget_marks
-- Empties what was read from the outcomes topic, to read it again from its beginning.
TRUNCATE redemptions, outcome_places;

-- name: wait_for_codes_within_loading
-- Loading a dump makes codes between its statements: for a minute at a time the transaction may be idle.
SET LOCAL idle_in_transaction_session_timeout = '60s';

-- name: hold_for_loading
-- Nobody else adds campaigns or stores until the transaction ends, hence no batches either.
LOCK TABLE campaigns, stores IN SHARE ROW EXCLUSIVE MODE;

-- name: count_what_is_there
-- How many rows there are of each kind. A schema that a dump can be loaded into has none.
SELECT (SELECT count(*) FROM campaigns) AS campaigns, (SELECT count(*) FROM stores) AS stores,
    (SELECT count(*) FROM batches) AS batches, (SELECT count(*) FROM voids) AS voids;

-- name: list_serials
-- The shared stretches of serials in order, and last where new ranges begin.
SELECT first_serial, last_serial, next_serial FROM shared_partitions
UNION ALL SELECT next_serial, NULL, next_serial FROM serials ORDER BY first_serial;

-- name: restore_campaign
-- Adds a campaign as it was.
INSERT INTO campaigns (id, name, starts_at, ends_at, time_zone, games, regions, per_player, per_store, total, paused, archived,
    revision, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15);

-- name: restore_batch
-- Adds a batch as it was; what it has in the register is made in the same transaction.
INSERT INTO batches (id, campaign_id, state, count, stores, key_id, key_check, words, first_serial, last_serial, own_partition,
    publish_when_ready, paused, revision, error, generated, loaded, verified, created_by, created_at, started_at, loaded_at, ready_at,
    published_at, rows_removed)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $16, $16, $17, $18, $19, $20, $21, $22,
    $3 = 'cancelled')
RETURNING *;

-- name: note_blocks
-- How many blocks a batch was made of.
UPDATE batches SET next_block = $2 WHERE id = $1;

-- name: register_of_batch
-- A batch's rows in serial order; for COPY.
SELECT c.serial, s.id AS store_id FROM codes c JOIN stores s ON s.number = c.store_number
WHERE c.batch_number = $1 AND c.serial BETWEEN $2 AND $3 ORDER BY c.serial;

-- name: adopt_campaign
-- Takes a campaign as its topic has it, where that is newer; its id if it was.
INSERT INTO campaigns (id, name, starts_at, ends_at, time_zone, games, regions, per_player, per_store, total, paused, archived,
    revision, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
ON CONFLICT (id) DO UPDATE SET name = excluded.name, starts_at = excluded.starts_at, ends_at = excluded.ends_at,
    time_zone = excluded.time_zone, games = excluded.games, regions = excluded.regions, per_player = excluded.per_player,
    per_store = excluded.per_store, total = excluded.total, paused = excluded.paused, archived = excluded.archived,
    revision = excluded.revision, updated_at = excluded.updated_at
WHERE campaigns.revision < excluded.revision RETURNING id;

-- name: adopt_token
-- Takes a token as its topic has it, where that is newer; its id if it was. The topic does not tell names.
INSERT INTO tokens (id, name, sha256, scopes, expires_at, revoked_at, revision, created_by, created_at)
VALUES ($1, $1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (id) DO UPDATE SET revoked_at = excluded.revoked_at, revision = excluded.revision
WHERE tokens.revision < excluded.revision RETURNING id;

-- name: adopt_batch
-- Takes a batch's state as its topic has it; whoever was making it has lost it.
UPDATE batches SET state = $2, paused = $3, revision = $4, published_at = $5,
    ready_at = CASE WHEN $2 IN ('ready', 'published') THEN coalesce(ready_at, $5, $6) ELSE ready_at END,
    generated = CASE WHEN $2 IN ('ready', 'published') THEN count ELSE generated END,
    loaded = CASE WHEN $2 IN ('ready', 'published') THEN count ELSE loaded END,
    verified = CASE WHEN $2 IN ('ready', 'published') THEN count ELSE verified END,
    rows_removed = ($2 = 'cancelled'), error = NULL, worker = NULL
WHERE id = $1 RETURNING *;

-- name: raise_batch_revision
-- Lets what is told of a batch from now on be newer than what its topic has.
UPDATE batches SET revision = $2 WHERE id = $1;

-- name: shared_partition_of
-- The shared partition that a range lies in; no row when it lies in none.
SELECT first_serial, last_serial, next_serial FROM shared_partitions WHERE $1 BETWEEN first_serial AND last_serial;

-- name: known_voids
-- Which records of which voids are there.
SELECT DISTINCT void_id, part FROM void_ranges;

-- name: ensure_void
-- Adds a void unless it is there.
INSERT INTO voids (id, reason, target, outstanding, voided_by, voided_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (id) DO UPDATE SET outstanding = voids.outstanding + excluded.outstanding;
