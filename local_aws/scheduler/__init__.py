"""EventBridge Scheduler, laid out as moto lays out its services; its one-time schedules fire."""
