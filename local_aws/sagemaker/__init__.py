"""SageMaker's endpoints, with the file layout of moto's services."""
