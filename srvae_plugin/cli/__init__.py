"""The commands `srvae-run`, `srvae-evaluate` and `srvae-data`, a module each."""
