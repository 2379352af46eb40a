"""SageMaker's runtime, with the file layout of moto's services."""
