"""Tables of codes that somebody else has made, in the files they come in."""
