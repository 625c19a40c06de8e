package LabPVE::Api::Cluster;
# What is not backups: versions, nodes, cluster status and resources, next free ID, pools, the calendar oracle.
use v5.36;
use LabPVE::Env;
use LabPVE::Error;
use LabPVE::Guests;

our $VERSION_TEXT = '9.2.11';
our $REPOSITORY = '14a22df35955';

sub index_of ($key, @names) {
  return { params => {}, returns => 'array', link => $key, code => sub ($) { [map { { $key => $_ } } @names] } };
}

sub root_get ($) { return index_of('subdir', qw(version cluster nodes storage access pools)) }
sub cluster_get ($) { return index_of('name', qw(acme backup backup-info bulk-action ceph config firewall ha jobs log mapping metrics nextid notifications options qemu replication resources sdn status tasks)) }
sub jobs_get ($) { return index_of('subdir', qw(schedule-analyze realm-sync)) }
sub access_get ($) { return index_of('subdir', qw(users groups roles acl domains openid tfa ticket password permissions)) }

sub node_params ($uri) { return exists $uri->{node} ? (node => { format => 'pve-node' }) : () }

sub version_get ($uri) {
  return {
    params => { node_params($uri) }, returns => 'object',
    code => sub ($) { { version => $VERSION_TEXT, release => '9.2', repoid => $REPOSITORY } },
  };
}

sub schedule_analyze_get ($) {
  return {
    params => {
      schedule => { format => 'pve-calendar-event', maxLength => 128 },
      starttime => { type => 'integer', optional => 1 },
      iterations => { type => 'integer', minimum => 1, maximum => 100, optional => 1 },
    },
    returns => 'array',
    code => sub ($param) {
      # The real binding wants an integer and a command line only has text.
      die "error: invalid type: string \"$param->{starttime}\", expected i64\n" if defined $param->{starttime};
      require LabPVE::CalendarEvent;
      my $event = LabPVE::CalendarEvent::parse($param->{schedule});
      my ($last, @rows) = (LabPVE::Env::now());
      for (1 .. $param->{iterations} // 10) {
        $last = LabPVE::CalendarEvent::next_event($event, $last) // last;
        push @rows, { timestamp => 0 + $last, utc => LabPVE::Env::ctime_text($last, 1) };
      }
      return \@rows;
    },
  };
}

sub local_ip { return LabPVE::Env::settings()->{ip} // '127.0.0.1' }

sub status_get ($) {
  return {
    params => {}, returns => 'array', link => 'id',
    code => sub ($) {
      my $node = LabPVE::Env::node();
      return [{ id => "node/$node", type => 'node', name => $node, local => 1, online => 1, nodeid => 0, level => '', ip => local_ip() }];
    },
  };
}

sub next_id_range {
  my ($line) = (LabPVE::Env::read_file('/etc/pve/datacenter.cfg') // '') =~ /^next-id:\s*(.+?)\s*$/m;
  my $o = LabPVE::Guests::options($line // '');
  return ($o->{lower} // 100, $o->{upper} // 1_000_000);
}

sub nextid_get ($) {
  return {
    params => { vmid => { type => 'integer', format => 'pve-vmid', minimum => 100, maximum => 999_999_999, optional => 1 } }, returns => 'integer',
    code => sub ($param) {
      my $all = LabPVE::Guests::all();
      if (defined(my $id = $param->{vmid})) {
        LabPVE::Error::raise_param(vmid => "VM $id already exists") if $all->{$id};
        return "$id";
      }
      my ($lower, $upper) = next_id_range();
      for my $id ($lower .. $upper - 1) { return "$id" if !$all->{$id} }
      die "unable to get any free VMID in range [$lower, $upper]\n";
    },
  };
}

sub uptime {
  open my $fh, '<', '/proc/uptime' or return 0;
  return int((split ' ', <$fh>)[0]);
}
sub memory {
  my %m;
  if (open my $fh, '<', '/proc/meminfo') { while (<$fh>) { $m{$1} = $2 * 1024 if /^(\w+):\s+(\d+) kB/ } }
  return (($m{MemTotal} // 0), ($m{MemTotal} // 0) - ($m{MemAvailable} // 0));
}

sub node_row {
  my $node = LabPVE::Env::node();
  my ($total, $used) = memory();
  require LabPVE::Storage;
  my ($dt, $du) = LabPVE::Storage::capacity({ path => '/' });
  return { node => $node, type => 'node', id => "node/$node", status => 'online', level => '', cpu => 0.05, maxcpu => LabPVE::Guests::host_cpus(), maxmem => $total, mem => $used, maxdisk => $dt, disk => $du, uptime => uptime() };
}

sub nodes_get ($) {
  return { params => {}, returns => 'array', link => 'node', code => sub ($) { [node_row()] } };
}

sub node_get ($) {
  my $i = index_of('name', qw(aplinfo apt capabilities ceph certificates config disks dns execute firewall hardware hosts journal lxc migrateall netstat network qemu query-oci-repo-tags query-url-metadata replication report rrd rrddata scan sdn services spiceshell startall status stopall storage subscription suspendall syslog tasks termproxy time version vncshell vzdump wakeonlan));
  $i->{params} = { node => { format => 'pve-node' } };
  return $i;
}

sub node_status_get ($) {
  return {
    params => { node => { format => 'pve-node' } }, returns => 'object',
    code => sub ($) {
      my $r = node_row();
      return { uptime => $r->{uptime}, cpu => $r->{cpu}, wait => 0, pveversion => "pve-manager/$VERSION_TEXT/$REPOSITORY", memory => { total => $r->{maxmem}, used => $r->{mem}, free => $r->{maxmem} - $r->{mem} }, rootfs => { total => $r->{maxdisk}, used => $r->{disk}, avail => $r->{maxdisk} - $r->{disk} }, loadavg => ['0.10', '0.10', '0.10'] };
    },
  };
}

sub node_time_get ($) {
  return {
    params => { node => { format => 'pve-node' } }, returns => 'object',
    code => sub ($) {
      my $now = LabPVE::Env::now();
      my @l = localtime $now;
      require LabPVE::CalendarEvent;
      my (undef, $as_utc) = LabPVE::CalendarEvent::normalise([$l[0], $l[1], $l[2], $l[3], $l[4] + 1, $l[5] + 1900], 1);
      return { time => 0 + $now, localtime => $as_utc, timezone => ($ENV{TZ} // '') =~ /^([A-Za-z].*)$/ ? $1 : zone_name() };
    },
  };
}

sub zone_name {
  my $name = LabPVE::Env::read_file('/etc/timezone') // '';
  return $name =~ /^(\S+)/ ? $1 : (readlink(LabPVE::Env::path('/etc/localtime')) // '') =~ m{zoneinfo/(.+)$} ? $1 : 'UTC';
}

sub resources_get ($) {
  return {
    params => { type => { enum => ['vm', 'storage', 'node', 'sdn'], optional => 1 } }, returns => 'array', link => 'id',
    code => sub ($param) {
      my ($want, @rows) = ($param->{type});
      my $node = LabPVE::Env::node();
      if (!defined $want || $want eq 'vm') {
        require LabPVE::Users;
        my $pools = LabPVE::Users::pools();
        my %pool = map { my $p = $_; map { ($_ => $p) } @{ $pools->{$p}{vms} } } keys %$pools;
        for my $type (qw(qemu lxc)) {
          for my $id (LabPVE::Guests::local_ids($type)) {
            my %r = %{ LabPVE::Guests::row($type, $id) };
            push @rows, { id => "$type/$id", type => $type, vmid => $r{vmid}, name => $r{name}, node => $node, status => $r{status}, template => $r{template} ? 1 : 0, cpu => $r{cpu}, maxcpu => $r{cpus}, mem => $r{mem}, maxmem => $r{maxmem}, disk => $r{disk}, maxdisk => $r{maxdisk}, diskread => 0, diskwrite => 0, netin => 0, netout => 0, uptime => $r{uptime}, (defined $pool{$id} ? (pool => $pool{$id}) : ()), (defined $r{tags} ? (tags => $r{tags}) : ()), (defined $r{lock} ? (lock => $r{lock}) : ()) };
          }
        }
      }
      push @rows, node_row() if !defined $want || $want eq 'node';
      if (!defined $want || $want eq 'storage') {
        require LabPVE::Storage;
        my $cfg = LabPVE::Storage::config();
        for my $id (@{ $cfg->{order} }) {
          my $s = LabPVE::Storage::status_row($cfg, $id, 0);
          next if !$s->{enabled};
          push @rows, { id => "storage/$node/$id", type => 'storage', storage => $id, node => $node, plugintype => $s->{type}, content => $s->{content}, shared => $s->{shared}, status => $s->{active} ? 'available' : 'unknown', disk => $s->{used}, maxdisk => $s->{total} };
        }
      }
      return \@rows;
    },
  };
}

sub pools_get ($) {
  return { params => {}, returns => 'array', link => 'poolid', code => sub ($) { require LabPVE::Users; my $p = LabPVE::Users::pools(); [map { { poolid => $_, ($p->{$_}{comment} ne '' ? (comment => $p->{$_}{comment}) : ()) } } sort keys %$p] } };
}
sub pool_get ($) {
  return {
    params => { poolid => {} }, returns => 'object',
    code => sub ($param) {
      require LabPVE::Users;
      my $pool = LabPVE::Users::pools()->{ $param->{poolid} } or die "pool '$param->{poolid}' does not exist\n";
      my %in = map { ($_ => 1) } @{ $pool->{vms} };
      return { members => [grep { $in{ $_->{vmid} } } @{ resources_get({})->{code}->({ type => 'vm' }) }], ($pool->{comment} ne '' ? (comment => $pool->{comment}) : ()) };
    },
  };
}
1;
