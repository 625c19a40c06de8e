package LabPVE::Api;
# The API tree that `pvesh` walks: which path has which methods, and in which module they are.
# A path that Proxmox does not have answers as Proxmox does; one that it has and the lab has not fails under the lab's own name.
use v5.36;
use LabPVE::Env;
use LabPVE::Error;

# [path, module, prefix of the function]. {x} is one part of the path, {x*} the rest of it. Functions: PREFIX_get, _create, _set, _delete; they return the method.
my @ROUTES = (
  ['', 'Cluster', 'root'],
  ['version', 'Cluster', 'version'],
  ['cluster', 'Cluster', 'cluster'],
  ['cluster/status', 'Cluster', 'status'],
  ['cluster/resources', 'Cluster', 'resources'],
  ['cluster/nextid', 'Cluster', 'nextid'],
  ['cluster/options', 'Settings', 'options'],
  ['cluster/tasks', 'Tasks', 'cluster'],
  ['cluster/jobs', 'Cluster', 'jobs'],
  ['cluster/jobs/schedule-analyze', 'Cluster', 'schedule_analyze'],
  ['cluster/backup', 'Backup', 'jobs'],
  ['cluster/backup/{id}', 'Backup', 'job'],
  ['cluster/backup/{id}/included_volumes', 'Coverage', 'included_volumes'],
  ['cluster/backup-info', 'Coverage', 'index'],
  ['cluster/backup-info/not-backed-up', 'Coverage', 'not_backed_up'],
  ['cluster/notifications', 'Notifications', 'index'],
  ['cluster/notifications/targets', 'Notifications', 'targets'],
  ['cluster/notifications/targets/{name}/test', 'Notifications', 'test'],
  ['cluster/notifications/matcher-fields', 'Notifications', 'fields'],
  ['cluster/notifications/matcher-field-values', 'Notifications', 'values'],
  ['cluster/notifications/matchers', 'Notifications', 'matcher'],
  ['cluster/notifications/matchers/{name}', 'Notifications', 'matcher_one'],
  ['cluster/notifications/endpoints', 'Notifications', 'endpoints'],
  ['cluster/notifications/endpoints/sendmail', 'Notifications', 'sendmail'],
  ['cluster/notifications/endpoints/sendmail/{name}', 'Notifications', 'sendmail_one'],
  ['cluster/notifications/endpoints/smtp', 'Notifications', 'smtp'],
  ['cluster/notifications/endpoints/smtp/{name}', 'Notifications', 'smtp_one'],
  ['cluster/notifications/endpoints/gotify', 'Notifications', 'gotify'],
  ['cluster/notifications/endpoints/gotify/{name}', 'Notifications', 'gotify_one'],
  ['cluster/notifications/endpoints/webhook', 'Notifications', 'webhook'],
  ['cluster/notifications/endpoints/webhook/{name}', 'Notifications', 'webhook_one'],
  ['storage', 'StorageConfig', 'list'],
  ['storage/{storage}', 'StorageConfig', 'one'],
  ['access', 'Cluster', 'access'],
  ['access/users', 'Settings', 'users'],
  ['access/users/{userid}', 'Settings', 'user'],
  ['pools', 'Cluster', 'pools'],
  ['pools/{poolid}', 'Cluster', 'pool'],
  ['nodes', 'Cluster', 'nodes'],
  ['nodes/{node}', 'Cluster', 'node'],
  ['nodes/{node}/status', 'Cluster', 'node_status'],
  ['nodes/{node}/version', 'Cluster', 'version'],
  ['nodes/{node}/time', 'Cluster', 'node_time'],
  ['nodes/{node}/tasks', 'Tasks', 'list'],
  ['nodes/{node}/tasks/{upid}', 'Tasks', 'one'],
  ['nodes/{node}/tasks/{upid}/log', 'Tasks', 'log'],
  ['nodes/{node}/tasks/{upid}/status', 'Tasks', 'status'],
  ['nodes/{node}/vzdump', 'VZDump', 'run'],
  ['nodes/{node}/vzdump/defaults', 'VZDump', 'defaults'],
  ['nodes/{node}/vzdump/extractconfig', 'VZDump', 'extractconfig'],
  ['nodes/{node}/storage', 'StorageStatus', 'list'],
  ['nodes/{node}/storage/{storage}', 'StorageStatus', 'one'],
  ['nodes/{node}/storage/{storage}/status', 'StorageStatus', 'status'],
  ['nodes/{node}/storage/{storage}/prunebackups', 'StorageContent', 'prune'],
  ['nodes/{node}/storage/{storage}/content', 'StorageContent', 'list'],
  ['nodes/{node}/storage/{storage}/content/{volume*}', 'StorageContent', 'volume'],
  ['nodes/{node}/qemu', 'Qemu', 'list'],
  ['nodes/{node}/qemu/{vmid}', 'Qemu', 'one'],
  ['nodes/{node}/qemu/{vmid}/config', 'Qemu', 'config'],
  ['nodes/{node}/qemu/{vmid}/pending', 'Qemu', 'pending'],
  ['nodes/{node}/qemu/{vmid}/status', 'Qemu', 'status_index'],
  ['nodes/{node}/qemu/{vmid}/status/current', 'Qemu', 'current'],
  ['nodes/{node}/qemu/{vmid}/status/start', 'Qemu', 'start'],
  ['nodes/{node}/qemu/{vmid}/status/stop', 'Qemu', 'stop'],
  ['nodes/{node}/qemu/{vmid}/status/shutdown', 'Qemu', 'shutdown'],
  ['nodes/{node}/qemu/{vmid}/agent', 'Agent', 'index'],
  ['nodes/{node}/qemu/{vmid}/agent/{command}', 'Agent', 'command'],
  ['nodes/{node}/lxc', 'Lxc', 'list'],
  ['nodes/{node}/lxc/{vmid}', 'Lxc', 'one'],
  ['nodes/{node}/lxc/{vmid}/config', 'Lxc', 'config'],
  ['nodes/{node}/lxc/{vmid}/pending', 'Lxc', 'pending'],
  ['nodes/{node}/lxc/{vmid}/status', 'Lxc', 'status_index'],
  ['nodes/{node}/lxc/{vmid}/status/current', 'Lxc', 'current'],
  ['nodes/{node}/lxc/{vmid}/status/start', 'Lxc', 'start'],
  ['nodes/{node}/lxc/{vmid}/status/stop', 'Lxc', 'stop'],
  ['nodes/{node}/lxc/{vmid}/status/shutdown', 'Lxc', 'shutdown'],
);

# Parts of the tree that Proxmox has and the lab has not.
# As text, so that they are compiled only for a path that is not among the routes.
my @ABSENT = (
  q{^cluster/(?:acme|ceph|config|firewall|ha|log|mapping|metrics|replication|sdn|qemu|bulk-action)(?:/|$)},
  q{^cluster/jobs/realm-sync},
  q{^access/(?:acl|domains|groups|openid|password|permissions|roles|tfa|ticket|vncticket)(?:/|$)}, q{^access/users/[^/]+/.},
  q{^nodes/[^/]+/(?:aplinfo|apt|capabilities|ceph|certificates|config|disks|dns|execute|firewall|hardware|hosts|journal|migrateall|netstat|network|query-url-metadata|replication|report|rrd|rrddata|scan|sdn|services|spiceshell|startall|stopall|suspendall|subscription|syslog|termproxy|vncshell|vncwebsocket|wakeonlan|query-oci-repo-tags)(?:/|$)},
  q{^nodes/[^/]+/storage/[^/]+/(?:download-url|file-restore|import-metadata|rrd|rrddata|upload|oci-registry-pull|identity)(?:/|$)},
  q{^nodes/[^/]+/(?:qemu|lxc)/[^/]+/(?:clone|feature|firewall|interfaces|migrate|monitor|move_disk|move_volume|mtunnel|mtunnelwebsocket|remote_migrate|resize|rrd|rrddata|sendkey|snapshot|spiceproxy|template|termproxy|unlink|vncproxy|vncwebsocket|cloudinit|dbus-vmstate)(?:/|$)},
  q{^nodes/[^/]+/(?:qemu|lxc)/[^/]+/status/(?:reboot|reset|resume|suspend)$},
);

my %VERB = (get => 'get', set => 'set', create => 'create', delete => 'delete');

# The values of a route's placeholders by name when the path is of that shape, else nothing. Part by part: to compile sixty patterns would cost each call 2 ms.
sub match_route ($route, @part) {
  my %uri;
  for my $wanted (split m{/}, $route) {
    return if !@part;
    if ($wanted =~ /^\{(\w+)(\*?)\}$/) { $uri{$1} = $2 ? join '/', splice @part : shift @part }
    elsif ($wanted ne shift @part) { return }
  }
  return @part ? () : \%uri;
}

# (method, path parameters) for a verb and a path, or nothing.
sub find ($verb, $path) {
  $path =~ s{/+}{/}g;
  $path =~ s{^/|/$}{}g;
  my @part = split m{/}, $path;
  for my $r (@ROUTES) {
    my $uri = match_route($r->[0], @part) or next;
    my $file = "LabPVE/Api/$r->[1].pm";
    require $file;
    my $code = "LabPVE::Api::$r->[1]"->can("$r->[2]_$VERB{$verb}") or next;
    my $method = $code->($uri) or next;
    return ($method, $uri);
  }
  return;
}

# Of the paths that the lab has, what else Proxmox does there.
my %ABSENT_VERB = (
  create => [q{^pools$}, q{^nodes/[^/]+/(?:status|qemu|lxc)$}, q{^nodes/[^/]+/qemu/[^/]+/agent$}, q{^nodes/[^/]+/storage/[^/]+/content/.}],
  set => [q{^pools(?:/[^/]+)?$}, q{^nodes/[^/]+/time$}],
  delete => [q{^pools(?:/[^/]+)?$}],
);

# Whether Proxmox has a path, or that verb of it, and the lab has not.
sub exists_in_proxmox ($path, $verb = 'get') {
  $path =~ s{/+}{/}g;
  $path =~ s{^/|/$}{}g;
  return scalar grep { $path =~ /$_/ } @ABSENT, @{ $ABSENT_VERB{$verb} // [] };
}

# Calls for another node go there; a lab host knows no other node's address.
sub check_node ($uri) {
  my $node = $uri->{node} // return;
  return if $node eq 'localhost' || $node eq LabPVE::Env::node();
  die "hostname lookup '$node' failed - failed to get address info for: $node: Name or service not known\n";
}
1;
