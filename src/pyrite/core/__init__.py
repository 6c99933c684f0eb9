"""Clock, entropy, offload, group commit, units, errors: what every layer may use and that uses none."""
