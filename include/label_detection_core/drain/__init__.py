"""Many images: the consumer of the queue, its pace, its journal."""
