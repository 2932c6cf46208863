"""Redis Streams: the light implementation of the bus port."""
