package LabPVE::Api::Coverage;
# Which guests and volumes the jobs cover (pve-manager PVE/API2/Backup.pm get_volume_backup_included, API2/Cluster/BackupInfo.pm).
use v5.36;
use LabPVE::Api::Backup;
use LabPVE::Guests;
use LabPVE::Jobs;
use LabPVE::Selection;

sub included_volumes_get ($) {
  return {
    params => { id => { maxLength => 50 } }, returns => 'object',
    code => sub ($param) {
      my $job = LabPVE::Api::Backup::find_job($param->{id}) // LabPVE::Api::Backup::no_such_job($param->{id});
      my $list = LabPVE::Guests::all();
      my $per_node = LabPVE::Selection::per_node($job);
      my @children;
      for my $node (sort keys %$per_node) {
        for my $id (@{ $per_node->{$node} }) {
          if ($node eq '') { push @children, { id => 0 + $id, type => 'unknown', leaf => 1 }; next }
          push @children, guest_row($id, $list->{$id});
        }
      }
      return { children => \@children };
    },
  };
}

sub guest_row ($id, $g) {
  my $h = LabPVE::Guests::load($g->{type}, $id, $g->{node})->{main};
  my @volumes = map { { id => "$id:$_->{key}", name => $_->{volume}, included => $_->{included}, reason => $_->{reason}, leaf => 1 } } LabPVE::Selection::volumes($g->{type}, $h);
  my $name = $g->{type} eq 'qemu' ? $h->{name} // "VM $id" : $h->{hostname} // "CT$id";
  return { id => 0 + $id, name => $name, type => $g->{type}, children => \@volumes, leaf => @volumes ? 0 : 1 };
}

sub index_get ($) {
  return { params => {}, returns => 'array', link => 'subdir', code => sub ($) { [{ subdir => 'not-backed-up' }] } };
}

# Ignores `enabled`, the schedule and the storage of a job, as the real call does.
sub not_backed_up_get ($) {
  return {
    params => {}, returns => 'array', link => 'vmid',
    code => sub ($) {
      my %covered;
      for my $job (@{ LabPVE::Jobs::read_cron()->{jobs} }, grep { ($_->{type} // '') eq 'vzdump' } LabPVE::Jobs::rows(LabPVE::Jobs::read_config())) {
        my $per_node = LabPVE::Selection::per_node($job);
        $covered{$_} = 1 for map { @$_ } values %$per_node;
      }
      my $list = LabPVE::Guests::all();
      my @rows;
      for my $id (sort { $a <=> $b } grep { !$covered{$_} } keys %$list) {
        my $g = $list->{$id};
        my $h = LabPVE::Guests::load($g->{type}, $id, $g->{node})->{main};
        my $name = $h->{ $g->{type} eq 'qemu' ? 'name' : 'hostname' };
        push @rows, { vmid => 0 + $id, type => $g->{type}, (defined $name ? (name => $name) : ()) };
      }
      return \@rows;
    },
  };
}
1;
