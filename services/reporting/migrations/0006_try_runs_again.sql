-- Which timed runs may be begun again: those whose worker fell silent, and those that failed, after 5 minutes, 10, 20, … (seven
-- times, ten hours in all), so that a mail server that is away for a morning loses no report.

CREATE FUNCTION can_be_claimed(run job_runs) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT (run.state = 'running' AND run.heartbeat_at < now() - interval '2 minutes')
        OR (run.state = 'failed' AND run.attempts < 8
            AND run.finished_at < now() - interval '5 minutes' * power(2, run.attempts - 1))
$$;
