#!/bin/sh
# What the official image's entrypoint does with the variables that docker-compose.yml sets: make the data folder once, as the
# account `postgres`, then become the server.
set -eu
if [ "$(id -u)" = 0 ]; then
    install -d -m 700 -o postgres -g postgres "$(dirname "$PGDATA")" "$PGDATA"
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    # Several arguments in one variable, as the official image takes them.
    # shellcheck disable=SC2086
    initdb --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" $POSTGRES_INITDB_ARGS
    echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
    echo "listen_addresses = '*'" >> "$PGDATA/postgresql.conf"
    echo "unix_socket_directories = '/var/run/postgresql'" >> "$PGDATA/postgresql.conf"
fi
exec "$@"
