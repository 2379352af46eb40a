"""Labels many images: the consumer of the queue, its pace, and its journal."""
