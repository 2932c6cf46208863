"""A table in two databases, mirrored row by row, and as facts."""

from __future__ import annotations

from pathlib import Path

from agentflow.contracts import Registry
from agentflow.lint import load

WRITTEN = """\
kind: event
name: thing.written
version: 1
status: approved
owner: tests
description: A row as it is now.
key: id
supersedes: {on: id, sequence: position}
fields:
  id: {type: integer, required: true}
  position: {type: string, required: true}
  amount: {type: decimal, scale: 2, required: true}
  paid: {type: boolean}
  note: {type: string}
  at: {type: timestamp}
  local: {type: timestamp}
  day: {type: date}
  raw: {type: string}
  doc: {type: string}
lateness: {accept: 36500d, ahead: 36500d}
"""
DELETED = """\
kind: event
name: thing.deleted
version: 1
status: approved
owner: tests
description: A row is gone.
key: id
corrects: {event: thing.written@1, on: id, effect: retract}
fields:
  id: {type: integer, required: true}
  position: {type: string, required: true}
lateness: {accept: 36500d, ahead: 36500d}
"""
TOTAL = """\
kind: metric
name: total
version: 1
status: approved
owner: tests
description: SELECT sum(amount) FROM t GROUP BY paid.
unit: things
value: sum(thing.written.amount)
moved_by: [thing.deleted@1, thing.written@1]
dimensions: [paid]
windows: [all]
"""
ROWS = """\
kind: metric
name: rows
version: 1
status: approved
owner: tests
description: SELECT count(*) FROM t.
unit: rows
value: count(thing.written)
moved_by: [thing.deleted@1, thing.written@1]
dimensions: [paid]
windows: [all]
"""
SOURCE = """\
kind: source
name: {server}.t
version: 1
status: approved
owner: tests
description: The table.
connector: {connector}
server: {server}
database: d
table: d.t
key: [id]
columns:
  id: integer
  amount: decimal
  paid: boolean
  at: timestamp
  local: timestamp_micros
  day: date
  raw: bytes
  note: string
  doc: json
write:
  - event: thing.written@1
    time: at
    fields:
      {{id: id, amount: amount, paid: paid, note: note, at: at, local: local, day: day, raw: raw,
        doc: doc}}
delete:
  - event: thing.deleted@1
    fields: {{id: id}}
"""


def write_pack(directory: Path) -> Path:
    """Write the pack to a directory."""
    files = {
        "events/thing.written.yaml": WRITTEN,
        "events/thing.deleted.yaml": DELETED,
        "metrics/total.yaml": TOTAL,
        "metrics/rows.yaml": ROWS,
        "sources/s.yaml": SOURCE.format(connector="postgres", server="s"),
        "sources/m.yaml": SOURCE.format(connector="mariadb", server="m"),
    }
    for file, text in files.items():
        target = directory / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return directory


def load_pack(directory: Path) -> Registry:
    return load(write_pack(directory))
