"""How events get in and become visible: the write path that serving calls."""
