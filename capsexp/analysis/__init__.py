"""What the figures say. Pure: values in, values out."""
