-- A service's role and schema, once, as a superuser of the database that it shall be in:
--   psql "$SUPERUSER_URL" -v service=codegen -v password="$(openssl rand -hex 24)" -f deploy/remote/schema.sql
\set ON_ERROR_STOP 1
BEGIN;
CREATE ROLE :"service" LOGIN PASSWORD :'password';
ALTER ROLE :"service" SET search_path = :"service";
SELECT format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO %I', current_database(), :'service') \gexec
CREATE SCHEMA :"service" AUTHORIZATION :"service";
COMMIT;
