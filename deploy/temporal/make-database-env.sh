#!/bin/sh
# Writes database.env beside this script: one random password under the three names by which PostgreSQL, the schema tool and the server know it.
set -eu
target="$(dirname "$0")/database.env"
if [ -e "$target" ]; then
  echo "$target is there already; PostgreSQL keeps the password of its first start" >&2
  exit 1
fi
umask 077
password=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
printf 'POSTGRES_PASSWORD=%s\nPOSTGRES_PWD=%s\nSQL_PASSWORD=%s\n' "$password" "$password" "$password" > "$target.new"
mv "$target.new" "$target"
echo "wrote $target"
