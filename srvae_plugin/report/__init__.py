"""One HTML page about runs: `write` puts it together, `cli` is `srvae-report`."""
