/**
 * The reading of storages for retention: one remote command, which changes nothing. It answers what each storage lists, what the host itself would remove under
 * every set of options that a job or the storage has, and how the files really look (`pvesh` tells no mtime).
 */

import { perlReading } from '../probe/perl-reading.js'
import { shell } from '../probe/shell-text.js'

export interface ReaderQuestion {
  readonly node: string
  /** Only these storages; null = all that hold backups in a folder. */
  readonly storages: readonly string[] | null
}

export interface ReadRow {
  readonly volid: string
  readonly size?: number | string
  readonly vmid?: number | string
  readonly protected?: number | string | boolean
}

export interface MarkRow {
  readonly volid: string
  readonly mark: string
}

/** An answer of the host, or why there is none. */
export type Answer<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly why: string }

export interface StorageReading {
  readonly id: string
  readonly type: string
  /** The folder of the archives; null for stores that are no folder (Proxmox Backup Server). */
  readonly folder: string | null
  /** The storage's own options; null = none set. */
  readonly options: string | null
  readonly content: Answer<readonly ReadRow[]>
  /** By options, each asked once for all guests: the host groups by guest, so each guest's answer is its own. */
  readonly asked: readonly { readonly options: string; readonly marks: Answer<readonly MarkRow[]> }[]
  /** `SIZE MTIME NAME` of every file of the folder. */
  readonly files: Answer<readonly string[]>
  /** Telling lines of the logs: `NAME:LINE`. */
  readonly logLines: Answer<readonly string[]>
}

export interface RetentionReading {
  /** `prune-backups` of /etc/vzdump.conf. */
  readonly nodeOptions: string | null
  readonly epochSeconds: number
  readonly storages: readonly StorageReading[]
}

/** The program and its question, for the standard input of `perl -`. */
export function renderReader(question: ReaderQuestion): string {
  return perlReading(PROGRAM, question)
}

/** @throws Error when the answer was cut off or is not the reader's */
export function parseReading(text: string): RetentionReading {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new Error(`the reading of the storages is not JSON: ${text.slice(0, 120)}`)
  }
  const reading = value as RetentionReading & { error?: string }
  if (typeof reading.error === 'string') throw new Error(reading.error)
  if (!Array.isArray(reading.storages)) throw new Error('the reading of the storages has no list of storages')
  return reading
}

const PROGRAM = shell`sub lines { my ($a, $cut, @fine) = @_; return why($a) if !grep { $a->[0] == $_ } 0, @fine; return { ok => $T, value => [map { substr($_, 0, 400) } grep { length } map { s/^\Q$cut\E\/*//r } split /\n/, $a->[1]] } }
sub options { my ($p) = @_; return undef if !defined $p || $p eq ''; return join ',', map { "$_=$p->{$_}" } sort keys %$p if ref $p; return join ',', sort grep { length } split /[\s,]+/, $p }
sub prunes { my ($o) = @_; return defined $o && $o =~ /keep-(?:last|hourly|daily|weekly|monthly|yearly)=0*[1-9]/ }
my $first = run_all(pvesh(storage => '/storage'), pvesh(jobs => '/cluster/backup'));
my ($configs, $jobs) = map { rows($first->{$_}) } qw(storage jobs);
answer({ error => "the list of storages could not be read: $configs->{why}" }) if !$configs->{ok};
answer({ error => "the list of jobs could not be read: $jobs->{why}" }) if !$jobs->{ok};
my $node_options;
if (open(my $fh, '<', '/etc/vzdump.conf')) { while (<$fh>) { $node_options //= options($1) if /^\s*prune-backups\s*:?\s*(\S.*?)\s*$/ } }
my %wanted = map { ($_ => 1) } @{ $q->{storages} // [] };
my (@storages, @ask);
for my $s (sort { $a->{storage} cmp $b->{storage} } @{ $configs->{value} }) {
  next if defined $q->{storages} ? !$wanted{ $s->{storage} } : ($s->{disable} || ",$s->{content}," !~ /,backup,/);
  my ($id, $path) = @$s{qw(storage path)};
  my ($sub) = ($s->{'content-dirs'} // '') =~ /(?:^|,)backup=([^,]+)/;
  my $folder = defined $path ? ($path =~ s{/+$}{}r) . '/' . (($sub // 'dump') =~ s{^/+|/+$}{}gr) : undef;
  my $own = options($s->{'prune-backups'});
  my %sets = map { ($_ => 1) } grep { prunes($_) } $own, $node_options, map { options($_->{'prune-backups'}) } grep { ($_->{storage} // '') eq $id } @{ $jobs->{value} };
  push @storages, { id => $id, type => $s->{type}, folder => $folder, options => $own, sets => [sort keys %sets] };
  my $at = "/nodes/$q->{node}/storage/$id";
  push @ask, pvesh("content $id", "$at/content", '--content', 'backup');
  push @ask, pvesh("prune $id $_", "$at/prunebackups", '--prune-backups', $_) for sort keys %sets;
  next if !defined $folder;
  push @ask, ["files $id", 'find', "$folder/", '-maxdepth', '1', '-type', 'f', '-printf', '%s %Ts %f\n'];
  push @ask, ["logs $id", 'grep', '-a', '-H', '-r', '--include=vzdump-*.log', '--exclude-dir=*.tmp', '-E', 'Finished Backup of VM|Backup of VM [0-9]+ failed|archive file size', "$folder/"];
}
my $got = run_all(@ask);
answer({ nodeOptions => $node_options, epochSeconds => time, storages => [map {
  my ($id, $folder) = @$_{qw(id folder)};
  my $none = { ok => $F, why => 'this storage is no folder' };
  +{ id => $id, type => $_->{type}, folder => $folder, options => $_->{options}, content => rows($got->{"content $id"}),
     asked => [map { +{ options => $_, marks => rows($got->{"prune $id $_"}) } } @{ $_->{sets} }],
     files => defined $folder ? lines($got->{"files $id"}, '') : $none,
     logLines => defined $folder ? lines($got->{"logs $id"}, $folder, 1) : $none } } @storages] });`
