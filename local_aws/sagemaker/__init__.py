"""SageMaker's endpoints, laid out as moto lays out its services."""
