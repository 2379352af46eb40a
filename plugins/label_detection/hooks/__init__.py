"""The services: clients, and models behind one seam."""
