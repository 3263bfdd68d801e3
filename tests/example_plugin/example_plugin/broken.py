"""Cannot be imported: what it needs is not there."""

from a_library_that_nobody_has import something

BrokenVAE = something
