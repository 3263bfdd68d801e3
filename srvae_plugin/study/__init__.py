"""Studies: grids of runs. `definition` reads one, `plan` lists its runs, `cli` is `srvae-study`."""
