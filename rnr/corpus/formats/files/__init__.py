"""Files as they lie on a disk -> text, lines, cells and rows."""
