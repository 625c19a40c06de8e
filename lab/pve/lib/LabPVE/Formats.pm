package LabPVE::Formats;
# The named formats of parameters, each with the text Proxmox refuses with (pve-common PVE/JSONSchema.pm, pve-storage Plugin.pm, pve-guest-common).
# `NAME-list` is a list of NAME, separated by comma, semicolon or blank. A hash is a property string (see PropertyString.pm).
use v5.36;

sub split_list ($text) { return grep { length } split /[,;\s\0]+/, $text // '' }

my $LOCAL = qr/[\w\+\-\~]+(?:\.[\w\+\-\~]+)*/;
my $AT_DOMAIN = qr/\@[a-zA-Z0-9\-]+(?:\.[a-zA-Z0-9\-]+)*/;
my $LABEL = qr/[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?/;

my %FORMAT = (
  'string' => sub ($v) { 1 },
  'pve-configid' => sub ($v) { $v =~ /^[a-z][a-z0-9_-]+$/i or die "invalid configuration ID '$v'\n" },
  'pve-storage-id' => sub ($v) { $v =~ /^[a-z][a-z0-9\-_.]*[a-z0-9]$/i or die "storage ID '$v' contains illegal characters\n" },
  'pve-vmid' => sub ($v) { $v =~ /^[1-9][0-9]{2,8}$/ or die "value does not look like a valid VM ID\n" },
  'pve-node' => sub ($v) { $v =~ /^$LABEL$/ or die "value does not look like a valid node name\n" },
  'dns-name' => sub ($v) { $v =~ /^(?:$LABEL\.)*$LABEL$/ or die "value does not look like a valid DNS name\n" },
  'pve-poolid' => sub ($v) { $v =~ m{^[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+){0,2}$} or die "value '$v' does not look like a valid pool ID\n" },
  'email-or-username' => sub ($v) { $v =~ /^$LOCAL(?:$AT_DOMAIN)?$/ or die "value does not look like a valid email address or user name\n" },
  'email' => sub ($v) { $v =~ /^$LOCAL$AT_DOMAIN$/ or die "value does not look like a valid email address\n" },
  'pve-userid' => sub ($v) {
    die "user name '$v' is too short\n" if length $v < 3;
    die "user name '$v' is too long (" . length($v) . " > 64)\n" if length $v > 64;
    $v =~ m{^[^\s:/]+\@[A-Za-z][A-Za-z0-9._-]+$} or die "value '$v' does not look like a valid user name\n";
  },
  'pve-groupid' => sub ($v) { $v =~ /^[A-Za-z0-9.\-_]+$/ or die "group name '$v' contains invalid characters\n" },
  'pve-day-of-week' => sub ($v) { $v =~ /^(?:mon|tue|wed|thu|fri|sat|sun)$/ or die "invalid day '$v'\n" },
  'pve-calendar-event' => sub ($v) {
    require LabPVE::CalendarEvent;
    eval { LabPVE::CalendarEvent::parse($v); 1 } or die "invalid calendar event '$v' - $@\n";
  },
  'pve-storage-content' => sub ($v) { $v =~ /^(?:images|rootdir|vztmpl|iso|backup|snippets|import|none)$/ or die "invalid content type '$v'\n" },
  'pve-storage-path' => sub ($v) { $v =~ m{^/[-/a-zA-Z0-9_.@]+$} or die "value does not look like a valid absolute path\n" },
  'pve-storage-server' => sub ($v) { $v =~ /^(?:$LABEL\.)*$LABEL$/ || $v =~ /^[0-9a-fA-F:.]+$/ or die "value does not look like a valid server name or IP address\n" },
  'pve-storage-options' => sub ($v) { $v =~ /^[^\s]+$/ or die "invalid mount options '$v'\n" },
  'pve-volume-id' => sub ($v) { $v =~ /^[a-z][a-z0-9\-_.]*[a-z0-9]:.+$/i or die "unable to parse volume ID '$v'\n" },
  'pve-task-status-type' => sub ($v) { $v =~ /^(?:unknown|error|warning|ok)$/i or die "invalid status '$v'\n" },
  'pve-tag' => sub ($v) { $v =~ /^[a-z0-9_][a-z0-9_\-+.]*$/i or die "invalid characters in tag\n" },
  'pve-startup-order' => sub ($v) { for my $p (grep { /\S/ } split /,/, $v) { $p =~ /^(?:(?:order=)?\d+|up=\d+|down=\d+)$/ or die "unable to parse startup options\n" } },
  'pve-qm-bootdev' => sub ($v) { $v =~ /^(?:net|usb|hostpci|ide|scsi|virtio|sata)\d+$/ or die "invalid boot device '$v'\n" },
  'pve-volume-id-or-qm-path' => sub ($v) { $v =~ m{^(?:none|cdrom|/.*)$}s || $v =~ /^[a-z][a-z0-9\-_.]*[a-z0-9]:.+$/i or die "unable to parse volume ID '$v'\n" },
  'vzdump-notes-template' => sub ($v) { 1 },
);

sub check ($format, $value, $path = '') {
  if (ref $format || is_property_string($format)) {
    require LabPVE::PropertyString;
    LabPVE::PropertyString::parse($format, $value, $path);
    return;
  }
  if ($format =~ /^(.*)-list$/) {
    my $one = $FORMAT{$1} or die "internal error: unknown format '$format'\n";
    $one->($_) for split_list($value);
    return;
  }
  if ($format =~ /^(.*)-opt$/) { return length $value ? check($1, $value, $path) : undef }
  my $code = $FORMAT{$format} or die "internal error: unknown format '$format'\n";
  $code->($value);
  return;
}

sub is_property_string ($format) { return $format =~ /^(?:prune-backups|backup-performance|backup-fleecing|pve-qm-memory|bwlimit)$/ }
1;
