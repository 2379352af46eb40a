"""The demo's summary: the labels of each picture, the rejected files, the cost, and the problems."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from demo.aftermath import Aftermath
from demo.kinds import SERVICES, Service, kind_of
from demo.outcome import LEAST_IOU, Find, PictureOutcome, Verdict
from demo.photographs import Truth
from demo.pictures import Refusal

_KEY_WIDTH = 46


def tell(console: Console, verdict: Verdict, after: Aftermath) -> None:
    """Print the summary, with the texts for the model type."""
    service = SERVICES[kind_of(after.model["arn"])]
    good = [row for row in verdict.rows if row.picture.is_good]
    judges = any(row.picture.anomalous is not None for row in good)
    console.print(_judged(good) if judges else _found(good))
    console.print(_judgements(good) if judges else _measure(good), soft_wrap=True)
    console.print(_rejected(verdict))
    if Refusal.MODEL in {row.error for row in verdict.rows}:
        console.print(_tried_again(after), soft_wrap=True)
    console.print(_bill(after, service), soft_wrap=True)
    if verdict.problems:
        tell_problems(console, verdict.problems)
        return
    console.print(
        Text(
            f"\nAll is well: {len(good)} pictures labelled, {len(verdict.rows) - len(good)} rejected with their "
            f"reasons, none lost, none twice, nothing left over, and the {service.thing} is {service.gone}.",
            style="bold green",
        ),
        soft_wrap=True,
    )


def tell_problems(console: Console, problems: Sequence[str]) -> None:
    """Print the problems."""
    console.print(Text(f"\n{_count(problems)}:", style="bold red"))
    for problem in problems:
        console.print(Text(f"  - {_shown(problem, 400)}", style="red"), soft_wrap=True)


def _count(problems: Sequence[str]) -> str:
    return "1 problem" if len(problems) == 1 else f"{len(problems)} problems"


def _found(good: Sequence[PictureOutcome]) -> Table:
    table = _table("Labelled", "picture", "label", "confidence", "IoU with the truth", "")
    for row in good:
        for line in _lines(row):
            table.add_row(*line)
    return table


def _judged(good: Sequence[PictureOutcome]) -> Table:
    """A line for each picture: normal or anomalous, and the accuracy of the box around the anomaly."""
    table = _table("Labelled", "picture", "judgement", "confidence", "found", "IoU with the truth", "")
    for row in good:
        judgement = row.judgement
        if judgement is None:
            table.add_row(*_without_judgement(row))
            continue
        finds = ", ".join(find.name for find in row.finds)
        ious = ", ".join(_iou(find) for find in row.finds)
        if row.finds and not row.picture.where_known:
            ious = "not known"
        table.add_row(
            Text(_shown(row.picture.key, _KEY_WIDTH)),
            Text("anomalous", style="magenta") if judgement.is_anomalous else Text("normal"),
            Text(f"{judgement.confidence:.1f} %"),
            Text(
                finds or ", ".join(f"{truth.label} missed" for truth in _missed(row)), style="" if finds else "yellow"
            ),
            Text(ious),
            _mark(row),
        )
    return table


def _without_judgement(row: PictureOutcome) -> Sequence[Text]:
    what = "no document" if row.final_key is None else "no judgement"
    return [Text(_shown(row.picture.key, _KEY_WIDTH)), Text(what, style="red"), Text(), Text(), Text(), _mark(row)]


def _table(title: str, *columns: str) -> Table:
    table = Table(title=f"\n{title}", title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, header_style="dim", justify="right" if column.startswith(("conf", "IoU")) else "left")
    return table


def _measure(good: Sequence[PictureOutcome]) -> Text:
    """The accuracy of the boxes, and the number of pictures without objects that got no label."""
    empty = [row for row in good if not row.picture.truths]
    clean = sum(not row.finds for row in empty)
    return Text(f"\n{_boxes(good, 'objects')}; no label in {clean} of {len(empty)} pictures without objects.")


def _judgements(good: Sequence[PictureOutcome]) -> Text:
    """The number of right judgements, and the accuracy of the boxes around defects."""
    right = [row for row in good if row.judgement and row.judgement.is_anomalous is row.picture.anomalous]
    anomalous = sum(bool(row.picture.anomalous) for row in right)
    return Text(
        f"\nJudged rightly: {len(right)} of {len(good)} pictures, {len(right) - anomalous} normal and {anomalous} "
        f"anomalous. {_boxes(good, 'defects')}."
    )


def _boxes(good: Sequence[PictureOutcome], things: str) -> str:
    expected = sum(len(row.picture.truths) for row in good)
    ious = [find.iou for row in good for find in row.finds if find.iou is not None]
    close = sum(iou > LEAST_IOU for iou in ious)
    lowest = min(ious, default=0)
    return f"Boxes: {close} of {expected} {things} with an IoU over {LEAST_IOU}, the lowest {lowest:.2f}"


def _lines(row: PictureOutcome) -> Sequence[tuple[Text, ...]]:
    key, mark = Text(_shown(row.picture.key, _KEY_WIDTH)), _mark(row)
    if row.final_key is None:
        return [(key, Text("no document", style="red"), Text(), Text(), mark)]
    lines = []
    for find in row.finds:
        lines.append((key, Text(find.name), Text(f"{find.confidence:.1f} %"), Text(_iou(find)), mark))
        key, mark = Text(), Text()
    lines += [(key, Text(f"{truth.label} missed", style="yellow"), Text(), Text(), mark) for truth in _missed(row)]
    return lines or [(key, Text("no label", style="dim"), Text(), Text(), mark)]


def _iou(find: Find) -> str:
    return "-" if find.iou is None else f"{find.iou:.2f}"


def _missed(row: PictureOutcome) -> list[Truth]:
    return [truth for truth in row.picture.truths if truth.label not in {find.name for find in row.finds}]


def _rejected(verdict: Verdict) -> Table:
    table = _table("Rejected", "file", "why", "kept as", "")
    for row in verdict.rows:
        if not row.picture.is_good:
            name, kept = _shown(row.picture.key, _KEY_WIDTH), _shown(row.final_key or "", _KEY_WIDTH)
            table.add_row(Text(name), Text(row.error or "?"), Text(kept), _mark(row))
    return table


def _tried_again(after: Aftermath) -> Text:
    """The reason for which a picture with a ModelError is sent to the model more than once."""
    times = (after.report or {}).get("images", {}).get("failed", 0)
    return Text(
        "\nA container returns ModelError for a picture that it cannot read, and also when the container itself is "
        f"broken. So the picture is returned to the queue (here {times} times) until its delivery number max_receives. "
        "Then it is rejected if the container still answers for another picture."
    )


def _mark(row: PictureOutcome) -> Text:
    return Text("wrong", style="bold red") if row.problems else Text("ok", style="green")


def _bill(after: Aftermath, service: Service) -> Text:
    model = after.model
    units = int((after.report or {}).get("model", {}).get("units", 1))
    usd = model["on_seconds"] / 3600 * units * service.price
    cost = f"{usd:.{3 if usd >= 0.01 else 4}f} USD at {_price(service.price)} USD"
    short = service.unit.rpartition(" ")[2]
    is_gone = model["status"] == "STOPPED" and model["says"] is None  # the service has no name for it
    return Text(
        f"\nThe {service.thing} was on for {model['on_seconds']:.0f} s with {units} {service.unit}(s), and was called "
        f"{model['detects']} times. In AWS this would cost {cost} per {short}-hour. "
        f"The {service.thing} is {service.gone if is_gone else model['status']} now."
    )


def _price(usd: float) -> str:
    return f"{usd:.2f}" if usd == round(usd, 2) else f"{usd:g}"


def _shown(text: str, width: int) -> str:
    """The text on one line; the middle of a long text is left out."""
    line = "".join(character if character.isprintable() else "?" for character in text)
    return line if len(line) <= width else f"{line[: width // 2]}…{line[-width // 2 + 1 :]}"
