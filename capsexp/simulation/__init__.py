"""A server in simulated time: its own scheduler, arrivals and cuts as they are, workers that only take their time."""

from capsexp.simulation.outcome import Outcome, Simulated
from capsexp.simulation.server import Outage, Server
from capsexp.simulation.simulate import simulate

__all__ = ["Outage", "Outcome", "Server", "Simulated", "simulate"]
