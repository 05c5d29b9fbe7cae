"""The server's state machines: events in, actions out. No asyncio, process, socket or clock; time is an argument."""
