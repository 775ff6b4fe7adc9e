-- The result of the last comparison of the figures, whichever process made it: every copy shows it as a metric.

CREATE TABLE comparisons (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    compared_at timestamptz NOT NULL,
    differences integer NOT NULL
);
