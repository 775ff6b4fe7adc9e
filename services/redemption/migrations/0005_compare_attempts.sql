-- Guesses of one player that come in on several partitions at once spend one budget: those that were let through count only where
-- the attempts that this was decided on are still all. Loops wait for each other at a row of the player that holds none, of
-- partition -1. (Codes that are malformed spend the budget too, but nothing is decided by it; who sends many holds nobody up.)
CREATE FUNCTION hold_guessers(platforms text, players text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO failed_attempts AS f (platform, player_id, partition, times, last_at)
    SELECT n.platform, n.player_id, -1, '{}', extract(epoch FROM now())::bigint * 1000
    FROM unnest(string_to_array(platforms, E'\x1f'), string_to_array(players, E'\x1f')) AS n (platform, player_id)
    ORDER BY 1, 2
    ON CONFLICT (platform, player_id, partition) DO UPDATE SET last_at = excluded.last_at;
END $$;
COMMENT ON FUNCTION hold_guessers IS 'Holds players, in key order, until the transaction ends; each is to be named once.';

CREATE OR REPLACE FUNCTION add_attempts(columns text[], kept integer, of_partition integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF columns[4] IS NOT NULL THEN
        PERFORM hold_guessers(columns[4], columns[5]);
        IF EXISTS (
            SELECT FROM unnest(string_to_array(columns[4], E'\x1f'), string_to_array(columns[5], E'\x1f'), columns[6]::bigint[])
                AS n (platform, player_id, known)
            WHERE n.known <> (
                SELECT coalesce(sum(t.at), 0) FROM failed_attempts f CROSS JOIN LATERAL unnest(f.times) AS t (at)
                WHERE f.platform = n.platform AND f.player_id = n.player_id)
        ) THEN
            PERFORM refuse('a player''s failed attempts were added to by another transaction');
        END IF;
    END IF;
    INSERT INTO failed_attempts AS f (platform, player_id, partition, times, last_at)
    SELECT n.platform, n.player_id, of_partition, array_agg(n.at ORDER BY n.at), max(n.at)
    FROM unnest(string_to_array(columns[1], E'\x1f'), string_to_array(columns[2], E'\x1f'), columns[3]::bigint[])
        AS n (platform, player_id, at)
    GROUP BY 1, 2
    ORDER BY 1, 2
    ON CONFLICT (platform, player_id, partition) DO UPDATE
    SET last_at = greatest(f.last_at, excluded.last_at),
        times = (SELECT array_agg(at ORDER BY at) FROM (
            SELECT at FROM unnest(f.times || excluded.times) AS every (at) ORDER BY at DESC LIMIT kept) AS last);
END $$;
COMMENT ON FUNCTION add_attempts IS 'Adds failed attempts (milliseconds, one row each) to what is remembered of their players on a partition, and keeps the last of each; each loop has rows of its own. Then the players whose guesses were let through, each with the sum of the times that this was decided on: who finds another sum decides again.';
