/** The reading of jobs, guests and storages of a Proxmox host: one remote command, which changes nothing. */
import { perlReading } from '../probe/perl-reading.js'
import { shell } from '../probe/shell-text.js'
import type { VzdumpObservation, VzdumpQuestions } from './observation.js'

/** Most archives of a storage that are told, newest first: what lies there must not fill a history. */
export const MOST_ARCHIVES = 3000

/** The program and its question, for the standard input of `perl -`. */
export function renderVzdumpReader(node: string, questions: VzdumpQuestions): string {
  return perlReading(PROGRAM.replaceAll('@ARCHIVES@', String(MOST_ARCHIVES)), { node, ...questions })
}

/**
 * @throws Error when the answer was cut off, or the host could not tell what no plan can be made without. A host without any guest,
 * or without the node that `estate.yaml` names, is not believed: a plan would take every guest out of every job.
 */
export function parseVzdumpReading(host: string, node: string, text: string): VzdumpObservation {
  const reading = parse(text)
  if (typeof reading.error === 'string') throw new Error(`${host}: ${reading.error}`)
  const { nodes, guests } = reading
  if (!Array.isArray(nodes) || !Array.isArray(guests) || !Array.isArray(reading.jobs)) throw new Error(`${host}: the answer is not that of the reader`)
  if (!nodes.includes(node)) {
    throw new NotBelieved(
      `${host} has no node ${node} under /etc/pve/nodes (there: ${nodes.join(', ') || 'none'}), so its empty lists are not believed; set node: in estate.yaml`,
    )
  }
  if (guests.length === 0) throw new NotBelieved(`${host} names no guest at all, which is not believed: no job is changed on that ground`)
  return {
    schema: 'nightshift.vzdump-observation/1',
    host,
    node,
    ...(reading as Omit<VzdumpObservation, 'schema' | 'host' | 'node' | 'pools'>),
    pools: reading.pools ?? null,
  }
}

/** What the host answered cannot be taken for the truth; asking again does not help. */
export class NotBelieved extends Error {
  override readonly name = 'NotBelieved'
}

function parse(text: string): Partial<VzdumpObservation> & { error?: unknown } {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) return value
  } catch {
    // said below
  }
  throw new Error(`the reading of the jobs was cut off or is not JSON: ${text.slice(0, 120)}`)
}

const PROGRAM = shell`sub text { my ($v) = @_; return defined $v ? "$v" : undef }
sub slurp { my ($p) = @_; open(my $fh, '<', $p) or return undef; local $/; return scalar <$fh> }
my $node = $q->{node};
my %calls = (jobs => '/cluster/backup', storages => '/storage', states => "/nodes/$node/storage", qemu => "/nodes/$node/qemu", lxc => "/nodes/$node/lxc");
my @nodes = map { s{.*/}{}r } glob('/etc/pve/nodes/*');
# a node of another name answers with errors or with nothing: said as what it is
answer({ nodes => \@nodes, guests => [], jobs => [] }) if !grep { $_ eq $node } @nodes;
my $first = run_all(map { pvesh($_ => $calls{$_}) } sort keys %calls);
my %got = map { ($_ => rows($first->{$_})) } keys %calls;
for (sort keys %calls) { answer({ error => "pvesh get $calls{$_}: $got{$_}{why}" }) if !$got{$_}{ok} }
my @remarks = map { $first->{$_}[2] =~ /(\S.*\S)/ ? substr($1, 0, 300) : () } sort keys %calls;
my %state = map { ($_->{storage} => $_) } @{ $got{states}{value} };
my (@storages, @ask);
for my $s (sort { $a->{storage} cmp $b->{storage} } @{ $got{storages}{value} }) {
  my $backups = ",$s->{content}," =~ /,backup,/ ? $T : $F;
  my $state = $state{ $s->{storage} };
  my @of = grep { length } split /[\s,;]+/, $s->{nodes} // '';
  my $here = !@of || grep { $_ eq $node } @of;
  push @storages, { id => $s->{storage}, type => $s->{type}, retention => $s->{'prune-backups'}, holdsBackups => $backups, disabled => $s->{disable} ? $T : $F,
    nodes => @of ? \@of : undef, active => $state ? ($state->{active} ? $T : $F) : undef, shared => $s->{shared} ? $T : $F, archives => undef };
  push @ask, pvesh("content $s->{storage}", "/nodes/$node/storage/$s->{storage}/content", '--content', 'backup') if $backups && !$s->{disable} && $here;
}
my %there = map { ($_->{id} => 1) } @storages;
my %schedule = map { ($_ => 1) } @{ $q->{schedules} }, map { defined $_->{schedule} ? "$_->{schedule}" : () } @{ $got{jobs}{value} };
push @ask, pvesh("schedule $_", '/cluster/jobs/schedule-analyze', '--schedule', $_, '--iterations', 10) for sort keys %schedule;
my @prunes = grep { $there{ $_->{storage} } } @{ $q->{prunes} };
push @ask, pvesh("prune $_->{storage} $_->{options}", "/nodes/$node/storage/$_->{storage}/prunebackups", length $_->{options} ? ('--prune-backups', $_->{options}) : ()) for @prunes;
my $second = run_all(@ask);
sub read_as { my ($name, $convert) = @_; my $a = $second->{$name} // return undef; my $r = rows($a); $r->{value} = $convert->($r->{value}) if $r->{ok}; return $r }
for my $s (@storages) {
  $s->{archives} = read_as("content $s->{id}", sub {
    my @all = sort { ($b->{ctime} // 0) <=> ($a->{ctime} // 0) || $a->{volid} cmp $b->{volid} } @{ $_[0] };
    splice @all, @ARCHIVES@;
    return [map { { volid => $_->{volid}, vmid => defined $_->{vmid} ? 0 + $_->{vmid} : undef, sizeBytes => defined $_->{size} ? 0 + $_->{size} : undef,
      createdSeconds => defined $_->{ctime} ? 0 + $_->{ctime} : undef, protected => $_->{protected} ? $T : $F } } @all];
  });
}
# guests: the lists of this node tell what runs, the configuration folders of all nodes tell which exist
my %row = map { my $type = $_; map { ("$type $_->{vmid}" => $_) } @{ $got{$type}{value} } } qw(qemu lxc);
my @guests;
for my $file (glob('/etc/pve/nodes/*/qemu-server/*.conf'), glob('/etc/pve/nodes/*/lxc/*.conf')) {
  my ($of, $folder, $vmid) = $file =~ m{/nodes/([^/]+)/([^/]+)/(\d+)\.conf$} or next;
  my $type = $folder eq 'lxc' ? 'lxc' : 'qemu';
  my $text = slurp($file); next if !defined $text;
  my %c; my @out;
  for (split /\n/, $text) {
    last if /^\[/;
    my ($k, $v) = /^([a-z][a-z0-9_-]*):\s*(.*?)\s*$/ or next;
    $c{$k} = $v;
    push @out, $k if $type eq 'qemu' && $k =~ /^(?:ide|sata|scsi|virtio|efidisk|tpmstate)\d+$/ && ",$v," =~ /,backup=(?:0|no|off|false),/ && ",$v," !~ /,media=cdrom,/;
    push @out, $k if $type eq 'lxc' && $k =~ /^mp\d+$/ && $v !~ m{^/} && ",$v," !~ /,backup=(?:1|yes|on|true),/;
  }
  my $r = delete $row{"$type $vmid"};
  push @guests, { vmid => 0 + $vmid, type => $type, node => $of, name => text($r->{name} // $c{name} // $c{hostname} // ($type eq 'lxc' ? "CT $vmid" : "VM $vmid")),
    status => text($r->{status}), template => ($c{template} // 0) eq '1' ? $T : $F, agent => ($c{agent} // '') =~ /^1|(?:^|,)enabled=1/ ? $T : $F, leftOut => [sort @out],
    smbiosUuid => ($c{smbios1} // '') =~ /(?:^|,)uuid=([0-9a-fA-F-]+)/ ? lc $1 : undef, createdSeconds => ($c{meta} // '') =~ /(?:^|,)ctime=(\d+)/ ? 0 + $1 : undef };
}
# listed, and without a configuration file that could be read: it exists all the same
for (sort keys %row) {
  my ($type, $vmid) = split / /;
  push @guests, { vmid => 0 + $vmid, type => $type, node => $node, name => text($row{$_}{name} // $vmid), status => text($row{$_}{status}), template => $F, agent => $T, leftOut => [],
    smbiosUuid => undef, createdSeconds => undef };
}
# the task index: how long runs took, and which guests were destroyed
my (%ended, %destroyed);
for my $index ('/var/log/pve/tasks/index.1', '/var/log/pve/tasks/index') {
  open(my $fh, '<', $index) or next;
  while (<$fh>) {
    my ($upid, $start, $type, $id, $end) = /^(UPID:[^:]+:[0-9A-Fa-f]+:[0-9A-Fa-f]+:([0-9A-Fa-f]{8}):([^:]+):([^:]*):[^:]+:)\s+([0-9A-Fa-f]{8})/ or next;
    $ended{$upid} = hex($end) - hex($start) if $type eq 'vzdump';
    $destroyed{$id} = hex $start if $type =~ /^(?:qm|vz)destroy$/ && $id =~ /^\d+$/ && hex($start) > ($destroyed{$id} // 0);
  }
}
my @last;
for my $file (glob('/var/lib/pve-manager/jobs/vzdump-*.json')) {
  my ($job) = $file =~ m{/vzdump-([^/]+)\.json$} or next;
  my $s = eval { decode_json(slurp($file) // '') } // {};
  push @last, { job => $job, seconds => defined $s->{upid} ? $ended{ $s->{upid} } : undef, message => text($s->{msg}) };
}
# pool:ID:COMMENT:GUESTS:STORAGES: (pve-access-control PVE/AccessControl.pm); a host without pools has no such line
my $users = slurp('/etc/pve/user.cfg');
my $pools = defined $users ? [map { my (undef, $id, undef, $of) = split /:/; { id => $id, vmids => [map { 0 + $_ } grep { /^\d+$/ } split /[\s,;]+/, $of // ''] } } grep { /^pool:/ } split /\n/, $users] : undef;
my $conf = slurp('/etc/vzdump.conf') // '';
my $cron = slurp('/etc/pve/vzdump.cron') // '';
my $zone = slurp('/etc/timezone');
$zone = (readlink('/etc/localtime') // '') =~ m{zoneinfo/(.+)$} ? $1 : undef if !defined $zone || $zone !~ /\S/;
answer({
  epochSeconds => time, zone => defined $zone ? $zone =~ s/\s+//gr : undef, nodes => \@nodes, jobs => $got{jobs}{value}, storages => \@storages,
  guests => [sort { $a->{vmid} <=> $b->{vmid} } @guests], pools => $pools,
  schedules => [map { { schedule => $_, runs => read_as("schedule $_", sub { [map { 0 + $_->{timestamp} } @{ $_[0] }] }) } } sort keys %schedule],
  prunes => [map { { storage => $_->{storage}, options => $_->{options}, removes => read_as("prune $_->{storage} $_->{options}", sub { [map { $_->{mark} eq 'remove' ? $_->{volid} : () } @{ $_[0] }] }) } } @prunes],
  lastRuns => \@last, destroyed => [map { { vmid => 0 + $_, epochSeconds => $destroyed{$_} } } sort keys %destroyed],
  legacyCronLines => [map { substr($_, 0, 300) } grep { /^\d+\s+\d+\s.*\svzdump\b/ } split /\n/, $cron],
  nodeRetention => $conf =~ /^\s*prune-backups\s*:\s*(\S.*?)\s*$/m ? $1 : undef,
  remarks => \@remarks,
});`
