"""moto's S3, corrected where it differs from AWS in what a pipeline relies on."""
