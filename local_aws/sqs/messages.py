"""The messages of one queue: visible ones in order, hidden ones by the time at which they become visible."""

import heapq
import itertools
from collections import OrderedDict
from collections.abc import Iterator

from moto.core.utils import unix_time_millis
from moto.sqs.models import Message

from local_aws.sqs.counts import CountHistory, Counts


class MessageStore:
    """The messages of one queue. Each step takes constant or logarithmic time.

    Not thread-safe: callers must hold the queue's lock. Messages are identified by object identity: two objects with
    one message id are a message and its second delivery. ``history`` records each change of the counts.
    """

    def __init__(self, history: CountHistory | None = None) -> None:
        self.history = history or CountHistory()
        self._all: dict[int, Message] = {}
        self._visible: OrderedDict[int, Message] = OrderedDict()
        self._hidden: list[tuple[float, int, Message]] = []
        self._handles: dict[str, Message] = {}
        self._delayed: set[int] = set()
        self._received_at: dict[int, float] = {}
        self._order = itertools.count()
        self._note()

    def __iter__(self) -> Iterator[Message]:
        return iter(list(self._all.values()))

    def __len__(self) -> int:
        return len(self._all)

    def append(self, message: Message) -> None:
        """Add a new message, or one from another queue, which keeps the receipt handles of that queue."""
        self._all[id(message)] = message
        if message.delayed:
            self._delayed.add(id(message))
        for handle in message.all_receipt_handles:
            if handle:
                self._handles[handle] = message
        self.moved(message)

    def remove(self, message: Message) -> None:
        """Remove a message."""
        self._surface()
        if self._all.pop(id(message), None) is None:
            return
        self._visible.pop(id(message), None)
        self._received_at.pop(id(message), None)
        self._delayed.discard(id(message))
        for handle in message.all_receipt_handles:
            if handle:
                self._handles.pop(handle, None)
        self._note()

    def by_handle(self, receipt_handle: str) -> Message | None:
        """The message that was received with this handle, at any time; None if it is deleted or unknown."""
        return self._handles.get(receipt_handle)

    def take(self) -> Message | None:
        """Hide the next visible message and return it, or None; the message is counted until it is removed."""
        self._surface()
        return self._visible.popitem(last=False)[1] if self._visible else None

    def put_back(self, messages: list[Message]) -> None:
        """Make messages that ``take`` returned visible again, at their old places."""
        for message in reversed(messages):
            self._visible[id(message)] = message
            self._visible.move_to_end(id(message), last=False)

    def received(self, message: Message) -> None:
        """Record a message's new receipt handle and its new visibility timeout."""
        self._received_at[id(message)] = unix_time_millis() / 1000
        if message.receipt_handle:
            self._handles[message.receipt_handle] = message
        self.moved(message)

    def received_at(self, message: Message) -> float:
        """The time at which the message was last received, in seconds since 1970; 0.0 if never."""
        return self._received_at.get(id(message), 0.0)

    def moved(self, message: Message) -> None:
        """Record that the time at which a message becomes visible has changed."""
        self._surface()
        self._visible.pop(id(message), None)
        due = max(message.visible_at, message.delayed_until)
        if due < unix_time_millis():
            self._visible[id(message)] = message
        else:
            heapq.heappush(self._hidden, (due, next(self._order), message))
        self._note()

    def visible(self) -> list[Message]:
        """The messages that can be received now."""
        self._surface()
        return list(self._visible.values())

    def counts(self) -> Counts:
        """The numbers of visible, in-flight and delayed messages."""
        self._surface()
        return self._count()

    def next_due(self) -> float | None:
        """Seconds until the next hidden message may become visible; None if no message is hidden."""
        return (self._hidden[0][0] - unix_time_millis()) / 1000 if self._hidden else None

    def _count(self) -> Counts:
        hidden = len(self._all) - len(self._visible)
        return Counts(len(self._visible), hidden - len(self._delayed), len(self._delayed))

    def _note(self, at: float | None = None) -> None:
        self.history.note(unix_time_millis() / 1000 if at is None else at, self._count())

    def _surface(self) -> None:
        """Make the due messages visible. An entry whose message was deleted or moved meanwhile is skipped."""
        now = unix_time_millis()
        while self._hidden and self._hidden[0][0] < now:
            due, _, message = heapq.heappop(self._hidden)
            current = max(message.visible_at, message.delayed_until)
            if current == due and self._all.get(id(message)) is message:
                self._delayed.discard(id(message))
                self._visible[id(message)] = message
                self._note(due / 1000)
