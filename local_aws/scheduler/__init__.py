"""EventBridge Scheduler whose one-time schedules fire, with the file layout of moto's services."""
