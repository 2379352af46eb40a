"""AWS clients, and one model hook per model service, all with one interface."""
