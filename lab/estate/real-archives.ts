/**
 * Real, small archives of one guest on earlier nights, made by the emulated vzdump: they can be read to their end within a second,
 * which the big ones of a healthy estate (holes of natural size) cannot. They take the place of the archives that were there.
 */
import type { LabHost } from '../host.js'

const DAY_SECONDS = 86_400

/** @param nightsAgo in any order; each gives one archive, begun that many days before `nowSeconds` (now, unless told) @returns the archives' volids, newest first */
export async function makeRealArchives(
  host: LabHost,
  of: { readonly vmid: number; readonly storage: string; readonly folder: string; readonly nightsAgo: readonly number[]; readonly nowSeconds?: number },
): Promise<string[]> {
  const { vmid, storage, folder, nightsAgo, nowSeconds: now = Math.floor(Date.now() / 1000) } = of
  const nights = [...nightsAgo].sort((a, b) => b - a).map((ago) => now - ago * DAY_SECONDS)
  await host.exec(['perl', '-MJSON::PP', '-e', FORGET_SIZE, String(vmid)])
  await host.exec(['sh', '-euc', MAKE, 'sh', String(vmid), storage, folder, ...nights.map(String)])
  const { stdout } = await host.exec(['find', folder, '-name', `vzdump-*-${vmid}-*.zst`, '-printf', '%f\n'])
  return stdout
    .split('\n')
    .filter(Boolean)
    .sort()
    .reverse()
    .map((name) => `${storage}:backup/${name}`)
}

/** Arguments: guest, storage, folder, then when each night's run begins. A night's files are dated like its run. */
const MAKE = `vmid=$1 storage=$2 folder=$3; shift 3
find "$folder" -name "vzdump-*-$vmid-*" -delete
for start; do
  NIGHTSHIFT_LAB_NOW=$start vzdump "$vmid" --storage "$storage" --mode snapshot --compress zstd --prune-backups keep-all=1 --quiet 1
  find "$folder" -name "vzdump-*-$vmid-*" -newermt '-1 minute' -exec touch -d "@$((start + 60))" {} ';'
done`

/** The emulator makes an archive as big as the nights before; not this guest's. */
const FORGET_SIZE = `
my $path = '/etc/nightshift-lab/pve.json';
open my $in, '<', $path or die $!; my $settings = decode_json(do { local $/; <$in> });
delete $settings->{archive_bytes}{$ARGV[0]};
open my $out, '>', $path or die $!; print $out encode_json($settings);`
