package LabPVE::Schema;
# Parameter checking with the texts of Proxmox (pve-common PVE/JSONSchema.pm): types, limits, enumerations, formats, property strings.
use v5.36;
use LabPVE::Error;
use LabPVE::Formats;

sub add_error ($errors, $path, $msg) {
  my $at = length $path ? $path : '_root';
  $errors->{$at} = defined $errors->{$at} ? "$errors->{$at}\n$msg" : $msg;
  return;
}

sub is_integer ($v) { return $v =~ /^[+-]?\d+$/ }
sub is_number ($v) { return $v =~ /^[+-]?(?:\d+\.\d+|\d+\.|\.\d+|\d+)(?:[eE][+-]?\d+)?$/ }

# All problems of one value, written into %$errors under $path.
sub check ($value, $schema, $path, $errors) {
  if (!defined $value) {
    add_error($errors, $path, 'property is missing and it is not optional') if !$schema->{optional};
    return;
  }
  my $type = $schema->{type} // 'string';
  if ($type eq 'array') {
    return add_error($errors, $path, "type check ('array') failed") if ref $value ne 'ARRAY';
    check($value->[$_], $schema->{items} // {}, "${path}[$_]", $errors) for 0 .. $#$value;
    return;
  }
  return add_error($errors, $path, "type check ('$type') failed - got " . ref $value) if ref $value;
  if (($type eq 'integer' && !is_integer($value)) || ($type eq 'number' && !is_number($value)) || ($type eq 'boolean' && $value !~ /^[01]$/)) {
    return add_error($errors, $path, "type check ('$type') failed - got '$value'");
  }
  if (defined(my $format = $schema->{format})) {
    eval { LabPVE::Formats::check($format, $value, $path); 1 } or return add_error($errors, $path, "invalid format - $@");
  }
  if (defined(my $p = $schema->{pattern})) { return add_error($errors, $path, 'value does not match the regex pattern') if $value !~ /^$p$/ }
  if (defined(my $m = $schema->{maxLength})) { return add_error($errors, $path, "value may only be $m characters long") if length $value > $m }
  if (defined(my $m = $schema->{minLength})) { return add_error($errors, $path, "value must be at least $m characters long") if length $value < $m }
  if (is_number($value)) {
    if (defined(my $m = $schema->{maximum})) { return add_error($errors, $path, "value must have a maximum value of $m") if $value > $m }
    if (defined(my $m = $schema->{minimum})) { return add_error($errors, $path, "value must have a minimum value of $m") if $value < $m }
  }
  if (my $enum = $schema->{enum}) {
    add_error($errors, $path, "value '$value' does not have a value in the enumeration '" . join(', ', @$enum) . "'") if !grep { $_ eq $value } @$enum;
  }
  return;
}

# All problems of a set of properties.
sub check_object ($value, $properties, $path, $errors) {
  my $at = sub ($k) { length $path ? "$path.$k" : $k };
  check($value->{$_}, $properties->{$_}, $at->($_), $errors) for sort keys %$properties;
  for my $k (sort keys %$value) {
    my $schema = $properties->{$k};
    if (!$schema) {
      add_error($errors, $at->($k), 'property is not defined in schema and the schema does not allow additional properties');
      next;
    }
    my $needs = $schema->{requires};
    add_error($errors, $at->($needs), "missing property required by '" . $at->($k) . "'") if defined $needs && !defined $value->{$needs};
  }
  return;
}

# Throws `400 Parameter verification failed.` with one line per problem.
sub validate ($value, $properties) {
  my $errors = {};
  check_object($value, $properties, '', $errors);
  LabPVE::Error::raise_param(%$errors) if %$errors;
  return;
}
1;
