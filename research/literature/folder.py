"""Literature in a folder: abstracts in .txt and .md files, and BibTeX; read once, ranked in memory."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, final

from refusal import Refusal
from research.literature.library import Library, Ranking, Source, source
from research.llm.prompt import one_line

_TEXT = 64_000
"""bytes of a text file that are looked at; its abstract is shorter"""
_FRONT = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)
_FRONT_TITLE = re.compile(r"^title:[ \t]*(.+)$", re.MULTILINE | re.IGNORECASE)
_SIGNS = "#*=_ \t'\""


@final
class Folder(Library):
    """Reads every .txt, .md and .bib file under `path` at once, without following links.

    Raises `Refusal` when the folder is missing or holds nothing to read; `notes` tell what is left out.
    """

    def __init__(self, path: str, max_files: int, max_bytes: int) -> None:
        super().__init__()
        self._root, self._max_bytes = Path(path).expanduser(), max_bytes
        files = self._files(max_files)
        self._sources: dict[str, Source] = {}
        for file in files:
            self._read(file)
        if not self._sources:
            raise Refusal(
                f"{path} holds no .txt, .md or .bib file that can be read: put abstracts or BibTeX there, or "
                "set literature.path to another folder, or literature=none."
            )
        # What stands in the title says more about a text than what it mentions.
        self._ranking = Ranking([f"{one.title} {one.title} {one.abstract}" for one in self._sources.values()])
        self._asked = 0

    def find(self, query: str, count: int) -> tuple[Source, ...]:
        """The sources that share words with `query`."""
        self._asked += 1
        every = list(self._sources.values())
        return tuple(every[at] for at in self._ranking.best(query, count))

    def facts(self) -> dict[str, Any]:
        """Where, how many sources, how often asked, and what could not be read."""
        counts = {"sources": len(self._sources), "asked": self._asked}
        return {"literature": str(self._root), **counts, "notes": self.notes}

    def _files(self, at_most: int) -> list[Path]:
        if not self._root.is_dir():
            raise Refusal(
                f"there is no folder {self._root}: make it and put abstracts (.txt, .md) or BibTeX (.bib) "
                "there, or set literature.path to another, or literature=none."
            )
        try:
            texts = (path for path in self._root.rglob("*") if path.suffix.lower() in (".txt", ".md", ".bib"))
            found = sorted(path for path in texts if path.is_file() and not path.is_symlink())
        except OSError as error:
            raise Refusal(f"the folder {self._root} cannot be read: {error.strerror}.") from None
        if len(found) > at_most:
            self.notes.append(f"only the first {at_most} of {len(found)} files are read.")
        return found[:at_most]

    def _read(self, file: Path) -> None:
        """Add the sources of one file; what cannot be read is told and loses nothing else."""
        name = file.relative_to(self._root).as_posix()
        try:
            sources = list(self._sources_of(file, name))
        except OSError as error:
            self.notes.append(f"{one_line(name)} cannot be read: {error.strerror}.")
            return
        twice = [source.id for source in sources if self._sources.setdefault(source.id, source) != source]
        if twice:
            self.notes.append(
                f"{one_line(name)}: {', '.join(twice[:5])} stand in an earlier file and count once."
            )

    def _sources_of(self, file: Path, name: str) -> Iterator[Source]:
        if file.suffix.lower() != ".bib":
            with file.open("rb") as stream:
                one = _text_source(name, self._text(stream.read(_TEXT), name))
            if one is None:
                self.notes.append(f"{one_line(name)} holds no text.")
            else:
                yield one
            return
        if file.stat().st_size > self._max_bytes:
            self.notes.append(f"{one_line(name)} is larger than {self._max_bytes} bytes and left out.")
            return
        sources, bad = _bibtex(self._text(file.read_bytes(), name))
        if bad:
            lines = ", ".join(map(str, bad[:5])) + (", ..." if len(bad) > 5 else "")
            count = f"{len(bad)} entries" if len(bad) > 1 else "1 entry"
            self.notes.append(f"{one_line(name)}: {count} cannot be read, from line {lines}.")
        yield from sources

    def _text(self, content: bytes, name: str) -> str:
        """UTF-8, or UTF-16 where the file says so, else Latin-1, in which every byte is a character."""
        if content.startswith((b"\xff\xfe", b"\xfe\xff")):
            return content.decode("utf-16", "replace")
        # The cut may have halved a last character.
        for end in range(len(content), max(-1, len(content) - 4), -1):
            try:
                return content[:end].decode("utf-8-sig")
            except UnicodeDecodeError:
                continue
        self.notes.append(f"{one_line(name)} is not UTF-8 and is read as Latin-1.")
        return content.decode("latin-1")


def _text_source(name: str, text: str) -> Source | None:
    """The first line that says something, or front matter, gives the title; the rest is the abstract."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    front = _FRONT.match(text)
    told = _FRONT_TITLE.search(front[1]) if front else None
    lines = [line for line in text[front.end() if front else 0 :].split("\n") if one_line(line).strip(_SIGNS)]
    if told is None and not lines:
        return None
    title = told[1] if told else lines.pop(0)
    return source("file", name, title.strip(_SIGNS), "\n".join(lines), year=title)


def _bibtex(text: str) -> tuple[list[Source], list[int]]:
    """The readable entries with a title as `bib:key`, and the lines at which unreadable ones begin."""
    from bibtexparser import middlewares
    from bibtexparser.entrypoint import parse_string

    # It repeats each unreadable entry on stderr; we tell their lines.
    logging.getLogger("bibtexparser").setLevel(logging.CRITICAL + 1)
    accents = middlewares.LatexDecodingMiddleware(allow_inplace_modification=True)
    library = parse_string(text, append_middleware=[accents])
    sources, bad = [], [(block.start_line or 0) + 1 for block in library.failed_blocks]
    for entry in library.entries:
        fields = {name.lower(): str(field.value) for name, field in entry.fields_dict.items()}
        read = _bibtex_source(entry.key, fields)
        if read is None:
            bad.append((entry.start_line or 0) + 1)
        else:
            sources.append(read)
    return sources, sorted(bad)


def _bibtex_source(key: Any, fields: dict[str, str]) -> Source | None:
    return source(
        "bib",
        str(key),
        _braceless(fields.get("title", "")),
        _braceless(fields.get("abstract", fields.get("keywords", ""))),
        year=fields.get("year", fields.get("date", "")),
        authors=_braceless(fields.get("author", "")).split(" and "),
    )


def _braceless(text: str) -> str:
    return text.replace("{", "").replace("}", "")
