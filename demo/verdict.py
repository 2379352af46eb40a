"""The demo's last page: what was found in each picture, what was rejected, what it cost, and whether it is right."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from demo.aftermath import Aftermath
from demo.outcome import LEAST_IOU, Row, Verdict
from demo.photographs import Truth

_KEY_WIDTH = 46


def tell(console: Console, verdict: Verdict, after: Aftermath, price: float) -> None:
    """Print it all; `price`: USD per inference unit and hour."""
    console.print(_found(verdict))
    console.print(_measure(verdict), soft_wrap=True)
    console.print(_rejected(verdict))
    console.print(_bill(after, price), soft_wrap=True)
    if verdict.problems:
        console.print(Text(f"\n{len(verdict.problems)} things are wrong:", style="bold red"))
        for problem in verdict.problems:
            console.print(Text(f"  - {_shown(problem, 400)}", style="red"), soft_wrap=True)
        return
    good = sum(row.picture.is_good for row in verdict.rows)
    console.print(
        Text(
            f"\nAll is well: {good} pictures labelled, {len(verdict.rows) - good} rejected with their reasons, "
            "none lost, none twice, nothing left over, and the model is off.",
            style="bold green",
        ),
        soft_wrap=True,
    )


def _found(verdict: Verdict) -> Table:
    table = Table(title="\nLabelled", title_justify="left", title_style="bold", box=None, pad_edge=False)
    for title in ("picture", "label", "confidence", "IoU with the truth", ""):
        table.add_column(title, header_style="dim", justify="right" if title.startswith(("conf", "IoU")) else "left")
    for row in verdict.rows:
        if row.picture.is_good:
            for line in _lines(row):
                table.add_row(*line)
    return table


def _measure(verdict: Verdict) -> Text:
    """How well the boxes lie, and that nothing is seen where nothing is."""
    good = [row for row in verdict.rows if row.picture.is_good]
    objects = sum(len(row.picture.truths) for row in good)
    ious = [find.iou for row in good for find in row.finds if find.iou is not None]
    empty = [row for row in good if not row.picture.truths]
    close = sum(iou > LEAST_IOU for iou in ious)
    clean = sum(not row.finds for row in empty)
    return Text(
        f"\nBoxes: {close} of {objects} objects with an IoU over {LEAST_IOU}, the lowest {min(ious, default=0):.2f}; "
        f"no label in {clean} of {len(empty)} pictures without."
    )


def _lines(row: Row) -> Sequence[tuple[Text, ...]]:
    key, mark = Text(_shown(row.picture.key, _KEY_WIDTH)), _mark(row)
    if row.final_key is None:
        return [(key, Text("no document", style="red"), Text(), Text(), mark)]
    lines = []
    for find in row.finds:
        iou = Text("-" if find.iou is None else f"{find.iou:.2f}")
        lines.append((key, Text(find.name), Text(f"{find.confidence:.1f} %"), iou, mark))
        key, mark = Text(), Text()
    lines += [(key, Text(f"{truth.label} missed", style="yellow"), Text(), Text(), mark) for truth in _missed(row)]
    return lines or [(key, Text("nothing in it", style="dim"), Text(), Text(), mark)]


def _missed(row: Row) -> list[Truth]:
    return [truth for truth in row.picture.truths if truth.label not in {find.name for find in row.finds}]


def _rejected(verdict: Verdict) -> Table:
    table = Table(title="\nRejected", title_justify="left", title_style="bold", box=None, pad_edge=False)
    for title in ("file", "why", "kept as", ""):
        table.add_column(title, header_style="dim")
    for row in verdict.rows:
        if not row.picture.is_good:
            name, kept = _shown(row.picture.key, _KEY_WIDTH), _shown(row.final_key or "", _KEY_WIDTH)
            table.add_row(Text(name), Text(row.error or "?"), Text(kept), _mark(row))
    return table


def _mark(row: Row) -> Text:
    return Text("wrong", style="bold red") if row.problems else Text("ok", style="green")


def _bill(after: Aftermath, price: float) -> Text:
    model = after.model
    units = int((after.report or {}).get("model", {}).get("units", 1))
    usd = model["on_seconds"] / 3600 * units * price
    return Text(
        f"\nThe model was on for {model['on_seconds']:.0f} s with {units} inference unit(s), asked {model['detects']} "
        f"times: {usd:.3f} USD at {price:.2f} USD per unit-hour. It is {model['status']} now."
    )


def _shown(text: str, width: int) -> str:
    """The text on one line, its middle left out if it is long."""
    line = "".join(character if character.isprintable() else "?" for character in text)
    return line if len(line) <= width else f"{line[: width // 2]}…{line[-width // 2 + 1 :]}"
