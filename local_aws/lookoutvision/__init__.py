"""Amazon Lookout for Vision, which moto lacks, with the file layout of moto's services."""
