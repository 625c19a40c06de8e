#!/bin/sh
# Makes the estate's namespace (90 days of retention) and nightshift's search attributes. Safe to run again.
# Needs NIGHTSHIFT_ESTATE, and TEMPORAL_ADDRESS for the CLI.
set -eu
namespace="nightshift-$NIGHTSHIFT_ESTATE"

if ! temporal operator namespace describe --namespace "$namespace" >/dev/null 2>&1; then
  temporal operator namespace create --namespace "$namespace" --retention 90d --data "nightshift_estate=$NIGHTSHIFT_ESTATE" \
    --description "Backup runbooks of estate $NIGHTSHIFT_ESTATE (nightshift)"
fi

# A new namespace is known everywhere only after a moment.
attempts=60
until known=$(temporal operator search-attribute list --namespace "$namespace" --output json 2>&1); do
  attempts=$((attempts - 1))
  if [ "$attempts" -eq 0 ]; then
    echo "$known" >&2
    exit 1
  fi
  sleep 1
done

for name in NightshiftRunbook NightshiftHost NightshiftTarget NightshiftPhase; do
  case $known in
    *"\"$name\""*) ;;
    *) temporal operator search-attribute create --namespace "$namespace" --name "$name" --type Keyword ;;
  esac
done
