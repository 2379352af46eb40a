"""The messages of one queue: visible ones in order, the others by when they come back."""

import heapq
import itertools
from collections import OrderedDict
from collections.abc import Iterator

from moto.core.utils import unix_time_millis
from moto.sqs.models import Message

from local_aws.sqs.counts import CountHistory, Counts


class MessageStore:
    """Every step takes constant or logarithmic time. Not safe under threads: the queue's lock is held.

    Messages are told apart as objects: two of them with one message id are a message and its second delivery.
    ``history`` gets every change of the counts.
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
        """Add a message that was sent, or that comes from another queue with the handles it had there."""
        self._all[id(message)] = message
        if message.delayed:
            self._delayed.add(id(message))
        for handle in message.all_receipt_handles:
            if handle:
                self._handles[handle] = message
        self.moved(message)

    def remove(self, message: Message) -> None:
        """Forget a message."""
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
        """The message that was ever received with this handle."""
        return self._handles.get(receipt_handle)

    def take(self) -> Message | None:
        """The next visible message, no longer visible; it is still counted until removed."""
        self._surface()
        return self._visible.popitem(last=False)[1] if self._visible else None

    def put_back(self, messages: list[Message]) -> None:
        """Messages that were taken are visible as if they had not been."""
        for message in reversed(messages):
            self._visible[id(message)] = message
            self._visible.move_to_end(id(message), last=False)

    def received(self, message: Message) -> None:
        """A message got a new handle and a new time to come back."""
        self._received_at[id(message)] = unix_time_millis() / 1000
        if message.receipt_handle:
            self._handles[message.receipt_handle] = message
        self.moved(message)

    def received_at(self, message: Message) -> float:
        """When the message was last received, in seconds since 1970; 0.0 if never."""
        return self._received_at.get(id(message), 0.0)

    def moved(self, message: Message) -> None:
        """A message's time to come back has changed."""
        self._surface()
        self._visible.pop(id(message), None)
        due = max(message.visible_at, message.delayed_until)
        if due < unix_time_millis():
            self._visible[id(message)] = message
        else:
            heapq.heappush(self._hidden, (due, next(self._order), message))
        self._note()

    def visible(self) -> list[Message]:
        """All that can be received."""
        self._surface()
        return list(self._visible.values())

    def counts(self) -> Counts:
        """How many are visible, in flight, delayed."""
        self._surface()
        return self._count()

    def next_due(self) -> float | None:
        """Seconds until the next hidden message may come back; None if nothing is hidden."""
        return (self._hidden[0][0] - unix_time_millis()) / 1000 if self._hidden else None

    def _count(self) -> Counts:
        hidden = len(self._all) - len(self._visible)
        return Counts(len(self._visible), hidden - len(self._delayed), len(self._delayed))

    def _note(self, at: float | None = None) -> None:
        self.history.note(unix_time_millis() / 1000 if at is None else at, self._count())

    def _surface(self) -> None:
        """Make visible what is due. An entry whose message was deleted or moved meanwhile is passed over."""
        now = unix_time_millis()
        while self._hidden and self._hidden[0][0] < now:
            due, _, message = heapq.heappop(self._hidden)
            current = max(message.visible_at, message.delayed_until)
            if current == due and self._all.get(id(message)) is message:
                self._delayed.discard(id(message))
                self._visible[id(message)] = message
                self._note(due / 1000)
