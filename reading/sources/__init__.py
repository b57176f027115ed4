"""One kind of data a file, each with `read`; `data.source` names the file."""
