"""Amazon Lookout for Vision, laid out as moto lays out its services; moto has none."""
