#!/bin/sh
# Makes Temporal's two databases and brings their schema to the version of the tool (the schema is inside of it). Safe to run again:
# an existing database is left, an applied version is skipped.
# Needs SQL_HOST, SQL_PORT, SQL_USER, SQL_PASSWORD; the user must be allowed to create databases.
set -eu

tool() {
  database=$1
  shift
  temporal-sql-tool --plugin postgres12_pgx --endpoint "$SQL_HOST" --port "$SQL_PORT" --user "$SQL_USER" --database "$database" "$@"
}

for pair in temporal:temporal temporal_visibility:visibility; do
  database=${pair%%:*}
  schema=${pair##*:}
  tool "$database" create
  tool "$database" setup-schema --version 0.0
  tool "$database" update-schema --schema-name "postgresql/v12/$schema"
done
