"""Test equipment: a server and a neighbour that do a known thing, in processes of their own."""
