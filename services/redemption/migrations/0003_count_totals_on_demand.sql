-- A campaign's total is counted only while a limit needs it: else the row of a busy campaign is what all loops wait for. Rows that
-- are there have been counted so far, and those that an older version makes are counted by it. Going back to a version before
-- this one: run `counterfoil positions recover` before a campaign is given a limit that it did not have.
ALTER TABLE campaign_counters ADD COLUMN counts_total boolean NOT NULL DEFAULT true;
COMMENT ON COLUMN campaign_counters.counts_total IS 'Whether redeemed is kept; else it is counted from the ledger when a limit first needs it.';
COMMENT ON TABLE campaign_counters IS 'Redemptions that count against a campaign''s total; the row''s lock is also the gate for starting to count.';
