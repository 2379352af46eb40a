"""The demo: a whole world of processes on one machine, pictures with known answers, and a check of what comes out."""
