package LabPVE::Program::pvesh;
# pvesh: get, set, create, delete, ls and usage over the API tree (pve-manager PVE/CLI/pvesh.pm).
use v5.36;
use LabPVE::Api;
use LabPVE::Cli;
use LabPVE::Env;
use LabPVE::Error;
use LabPVE::Unknown;

my %API_PATH = (api_path => {}, noproxy => { type => 'boolean', optional => 1 });

sub main (@argv) {
  my $silent = 0;
  while (@argv && $argv[0] =~ /^--(?:noproxy|nooutput)$/) { $silent = 1 if $argv[0] eq '--nooutput'; shift @argv }
  my $command = shift @argv // '';
  return call($command, $silent, @argv) if $command =~ /^(?:get|set|create|delete)$/;
  return ls(@argv) if $command eq 'ls';
  return usage(@argv) if $command eq 'usage';
  LabPVE::Unknown::fail("'pvesh $command'");
}

sub call ($command, $silent, @argv) {
  # The program looks at the first word for the options of the path, whatever that word is.
  my $path = $argv[0];
  my ($method, $uri) = length($path // '') ? LabPVE::Api::find($command, $path) : ();
  if (length($path // '') && !$method) {
    LabPVE::Unknown::fail("'pvesh $command $path'") if LabPVE::Api::exists_in_proxmox($path, $command);
    print STDERR "No '$command' handler defined for '$path'\n";
    return 1;
  }
  my %params = %{ $method->{params} // {} };
  delete @params{ keys %$uri } if $uri;
  my $wrapper = {
    params => { %params, %API_PATH, %LabPVE::Cli::OUTPUT_OPTIONS },
    args => ['api_path'],
    code => sub ($param) {
      my %out = map { ($_ => delete $param->{$_}) } grep { exists $param->{$_} } keys %LabPVE::Cli::OUTPUT_OPTIONS;
      delete @$param{qw(api_path noproxy)};
      LabPVE::Api::check_node($uri);
      my $full = { %$param, %$uri };
      LabPVE::Schema::validate($full, { %{ $method->{params} // {} } });
      my $data = $method->{code}->($full);
      return if $silent || $out{quiet};
      LabPVE::Cli::print_result($data, $method->{returns} // 'null', $out{'output-format'} // 'text', { %out, props => $method->{shown}, map { ($_ => 1) } grep { $out{$_} } qw(noborder noheader) });
    },
  };
  # The output options are shown as [FORMAT_OPTIONS]; [OPTIONS] is always there because of --noproxy.
  my %shown = (%$wrapper, params => { %params, %API_PATH });
  my $done = eval { LabPVE::Cli::call("pvesh $command", $wrapper, \@argv); 1 };
  return 0 if $done;
  my $err = $@;
  $err->{usage} = LabPVE::Cli::usage("pvesh $command", \%shown, { format_options => 1 }) if LabPVE::Error::is_param($err);
  die $err;
}

# What a child can do, also where the lab cannot; of a path that the lab has not at all it says nothing.
sub capabilities ($path) {
  LabPVE::Unknown::fail("'pvesh ls' of what holds $path") if LabPVE::Api::exists_in_proxmox($path);
  my ($get) = LabPVE::Api::find('get', $path);
  my $can = sub ($verb) { my ($method) = LabPVE::Api::find($verb, $path); $method || LabPVE::Api::exists_in_proxmox($path, $verb) };
  return ($get ? ($get->{link} ? 'Dr' : '-r') : '--') . join '', map { $can->($_->[0]) ? $_->[1] : '-' } ['set', 'w'], ['create', 'c'], ['delete', 'd'];
}

sub ls (@argv) {
  my $list = sub ($param) {
    my $path = $param->{api_path};
    my ($method, $uri) = LabPVE::Api::find('get', $path);
    LabPVE::Unknown::fail("'pvesh ls $path'") if !$method && LabPVE::Api::exists_in_proxmox($path);
    die "no such resource '$path'\n" if !$method;
    my $link = $method->{link} // die "resource '$path' does not define child links\n";
    LabPVE::Api::check_node($uri);
    my @names = sort map { "$_->{$link}" } @{ $method->{code}->({%$uri}) };
    my @rows = map { { name => $_, capabilities => capabilities("$path/$_") } } @names;
    my $format = $param->{'output-format'} // 'text';
    return if $param->{quiet};
    if ($format ne 'text') { LabPVE::Cli::print_result(\@rows, 'array', $format); return }
    require LabPVE::Table;
    LabPVE::Table::print_table(\@rows, ['capabilities', 'name'], { noborder => $param->{noborder} // 1, noheader => $param->{noheader} // 1, sort_key => 'name' }) if @rows;
  };
  LabPVE::Cli::call('pvesh ls', { params => { %API_PATH, %LabPVE::Cli::OUTPUT_OPTIONS }, args => ['api_path'], code => $list }, \@argv, { format_options => 1 });
  return 0;
}

my %USAGE_OPTIONS = (command => { enum => [qw(get set create delete)], optional => 1 }, (map { ($_ => { type => 'boolean', optional => 1 }) } qw(verbose returns)));

sub usage (@argv) {
  my $print = sub ($param) {
    my $path = $param->{api_path};
    for my $k (qw(verbose returns)) { LabPVE::Unknown::fail("'pvesh usage --$k'") if $param->{$k} }
    my $found = 0;
    for my $command (grep { $_ eq ($param->{command} // $_) } qw(get set create delete)) {
      my ($method, $uri) = LabPVE::Api::find($command, $path) or next;
      $found = 1;
      print 'USAGE: ' . LabPVE::Cli::usage("pvesh $command $path", { params => $method->{params} // {}, args => [], fixed => $uri }) . "\n";
    }
    return if $found;
    LabPVE::Unknown::fail("'pvesh usage $path'") if LabPVE::Api::exists_in_proxmox($path);
    die defined $param->{command} ? "no '$param->{command}' handler for '$path'\n" : "no such resource '$path'\n";
  };
  LabPVE::Cli::call('pvesh usage', { params => { api_path => {}, %USAGE_OPTIONS }, args => ['api_path'], code => $print }, \@argv);
  return 0;
}
1;
