"""SageMaker's runtime, laid out as moto lays out its services."""
